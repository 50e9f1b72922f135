import { Drawer } from 'antd'
import type { ReactNode } from 'react'

type Props = { open: boolean; onClose: () => void; title: ReactNode; extra?: ReactNode; footer?: ReactNode; width?: number; children: ReactNode }

// SlideOver shows a detail beside the list that it is of; on a phone it is the whole page. Escape closes it.
export function SlideOver({ open, onClose, title, extra, footer, width = 760, children }: Props) {
  return (
    <Drawer open={open} onClose={onClose} title={title} extra={extra} footer={footer} size={`min(100vw, ${width}px)`} destroyOnHidden mask={{ closable: true }}>
      {children}
    </Drawer>
  )
}
