import { DownOutlined, ExportOutlined, UpOutlined } from '@ant-design/icons'
import { Link, useNavigate } from '@tanstack/react-router'
import { Button, Skeleton } from 'antd'
import { useEffect, useState } from 'react'
import { useTranslation } from 'react-i18next'

import { FindingActions } from './FindingActions'
import { FindingBody } from './FindingBody'
import { HandleDialog } from './HandleDialog'
import { typing } from './KeysHelp'
import { api } from '../../api/client'
import { useMayOn } from '../../app/session'
import { Problem } from '../../parts/Problem'
import { SlideOver } from '../../parts/SlideOver'

type Props = { ids: string[]; open?: string; set: (id: string | undefined) => void }

// FindingSlide shows one finding beside the list; J and K, or the arrows, go on to its neighbours.
export function FindingSlide({ ids, open, set }: Props) {
  const { t } = useTranslation('risks')
  const navigate = useNavigate()
  const at = open ? ids.indexOf(open) : -1
  const before = at > 0 ? ids[at - 1] : undefined
  const after = at >= 0 ? ids[at + 1] : undefined
  const [handle, setHandle] = useState(false)
  const query = api.useQuery('get', '/api/v1/findings/{id}', { params: { path: { id: Number(open) } } }, { enabled: !!open })
  const finding = query.data
  const may = useMayOn('handle', finding?.targetId ?? '', finding?.namespace)
  useEffect(() => {
    if (!open || handle) return
    const on = (e: KeyboardEvent) => {
      if (e.ctrlKey || e.metaKey || e.altKey || e.defaultPrevented || typing(e) || (e.target as HTMLElement).closest('.ant-modal, [role=region][tabindex="0"]')) return
      if ((e.key === 'j' || e.key === 'ArrowDown') && after) set(after)
      else if ((e.key === 'k' || e.key === 'ArrowUp') && before) set(before)
      else if (e.key === 'o') void navigate({ to: '/findings/$id', params: { id: open } })
      else if (e.key === 'e' && may && finding) setHandle(true)
      else return
      e.preventDefault()
    }
    document.addEventListener('keydown', on)
    return () => document.removeEventListener('keydown', on)
  }, [open, before, after, handle, may, finding, set, navigate])
  return (
    <SlideOver
      open={!!open}
      onClose={() => set(undefined)}
      title={t('finding')}
      extra={
        <>
          <Button type="text" icon={<UpOutlined />} disabled={!before} aria-label={t('previous')} onClick={() => set(before)} />
          <Button type="text" icon={<DownOutlined />} disabled={!after} aria-label={t('next')} onClick={() => set(after)} />
          {open && (
            <Link to="/findings/$id" params={{ id: open }}>
              <Button type="text" icon={<ExportOutlined />} tabIndex={-1}>
                {t('fullPage')}
              </Button>
            </Link>
          )}
        </>
      }
      footer={finding && <FindingActions finding={finding} />}
    >
      {query.error ? <Problem error={query.error} retry={() => void query.refetch()} /> : finding ? <FindingBody key={finding.id} finding={finding} heading={2} /> : <Skeleton active paragraph={{ rows: 14 }} />}
      {handle && finding && <HandleDialog wanted={{ action: finding.status === 'ignored' ? 'unignore' : 'ignore', of: { ids: [finding.id] } }} close={() => setHandle(false)} />}
    </SlideOver>
  )
}
