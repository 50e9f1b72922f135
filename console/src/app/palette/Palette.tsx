import { useNavigate } from '@tanstack/react-router'
import { Modal } from 'antd'
import { useEffect, useState } from 'react'
import { useTranslation } from 'react-i18next'

import { Finder } from './Finder'
import { paletteEvent, wanted } from './open'
import css from './Palette.module.css'
import type { Option } from './results'

// Palette finds anything and does anything from the keyboard: Ctrl or Cmd with K, or a slash.
export default function Palette() {
  const [open, setOpen] = useState(false)
  const navigate = useNavigate()
  const { t } = useTranslation('palette')
  useEffect(() => {
    const show = () => wanted() && setOpen((was) => !was)
    addEventListener(paletteEvent, show)
    show() // it was asked for before this was loaded
    return () => removeEventListener(paletteEvent, show)
  }, [])
  const choose = (option: Option) => {
    setOpen(false)
    if (option.go) void navigate({ to: option.go.to, search: option.go.search ?? {} })
    else option.run?.()
  }
  return (
    <Modal open={open} onCancel={() => setOpen(false)} footer={null} closable={false} width={640} destroyOnHidden classNames={{ container: css.box, header: css.header, body: css.body }} style={{ top: 72 }} title={<span className="unseen">{t('label')}</span>}>
      {open && <Finder onChoose={choose} />}
    </Modal>
  )
}
