import { useQueryClient } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import { Alert } from 'antd'
import { useEffect, useRef } from 'react'
import { useTranslation } from 'react-i18next'

import css from './iac.module.css'
import { api } from '../../api/client'
import { Bar } from '../scans/Bar'
import { going, taskShare, type Task } from '../scans/progress'
import { useTask } from '../scans/useTask'

// ScanBanner follows the scan of an upload, and says how it ended when it did not go well.
export function ScanBanner({ last, asked }: { last: Task | undefined; asked: string | undefined }) {
  const id = asked ?? last?.id
  return id ? <Following key={id} id={id} asked={id === asked} /> : null
}

function Following({ id, asked }: { id: string; asked: boolean }) {
  const { t } = useTranslation('iac')
  const { task } = useTask(id)
  const client = useQueryClient()
  const open = task.data ? going(task.data.status) : undefined
  const was = useRef(asked || open) // one that was just asked for may be over before it is heard of
  const items = api.useQuery('get', '/api/v1/tasks/{id}/items', { params: { path: { id: Number(id) } } }, { enabled: task.data?.status === 'failed' || task.data?.status === 'partial' })
  useEffect(() => {
    if (was.current && open === false) void client.invalidateQueries({ predicate: (q) => /^\/api\/v1\/(projects|gaps)/.test(String(q.queryKey[1])) })
    if (open !== undefined) was.current = open
  }, [open, client])
  const x = task.data
  if (!x) return null
  const more = (
    <span className={css.inAlert}>
      <Link to="/tasks/$id" params={{ id }}>
        {t('toTask')}
      </Link>
    </span>
  )
  if (going(x.status)) {
    return <Alert type="info" showIcon role="status" title={t('scanning')} description={<Bar label={t('scanning')} share={taskShare(x)} remaining={x.progress.remainingMs} going />} action={more} />
  }
  const error = items.data?.items?.find((i) => i.error)?.error
  if (x.status === 'failed') return <Alert type="error" showIcon title={t('scanFailed')} description={error} action={more} />
  if (x.status === 'partial') return <Alert type="warning" showIcon title={t('scanPartial')} description={error} action={more} />
  if (x.status === 'canceled') return <Alert type="warning" showIcon title={t('scanCanceled')} action={more} />
  return null
}
