import { Alert } from 'antd'
import { useTranslation } from 'react-i18next'

import { Bar } from './Bar'
import { ItemDetail } from './ItemDetail'
import { going, itemShare, type Item, type Progress, type Task } from './progress'
import { State } from './State'
import css from './scans.module.css'
import { api } from '../../api/client'
import { DataTable, paging, type Column } from '../../parts/DataTable'
import { EmptyState } from '../../parts/EmptyState'
import { SlideOver } from '../../parts/SlideOver'
import { useUrl } from '../../parts/search'
import { useFormat } from '../../text/format'

type Props = { task: Task; live: Record<string, Progress> }

// Items lists the clusters of a task with how far each is. One alone is shown whole.
export function Items({ task, live }: Props) {
  const { t } = useTranslation('scans')
  const { number } = useFormat()
  const [search, set] = useUrl()
  const query = api.useInfiniteQuery('get', '/api/v1/tasks/{id}/items', { params: { path: { id: Number(task.id) }, query: { limit: 100 } } }, paging)
  const rows: Item[] = (query.data?.pages ?? []).flatMap((p) => p.items ?? []).map((item) => (live[item.id] && going(item.status) ? { ...item, progress: live[item.id] } : item))
  if (rows.length === 1 && rows[0]) return <ItemDetail item={rows[0]} alone />
  const at = (item: Item) => rows.find((r) => r.id === item.id) ?? item
  const columns: Column<Item>[] = [
    { key: 'name', title: t('name'), width: 220, render: (item) => item.name },
    { key: 'status', title: t('status'), width: 140, render: (item) => <State status={item.status} /> },
    {
      key: 'progress',
      title: t('progress'),
      width: 280,
      render: (row) => {
        const item = at(row)
        return <Bar label={t('progressOf', { name: item.name })} share={itemShare(item)} failed={item.status === 'failed'} remaining={item.progress?.remainingMs} going={item.status === 'running'} />
      },
    },
    { key: 'phase', title: t('phase'), width: 150, render: (row) => (row.status === 'running' ? t(`phases.${at(row).progress?.phase ?? 'connecting'}`) : '–') },
    { key: 'objects', title: t('objects'), width: 100, align: 'right', render: (row) => number(at(row).progress?.objects ?? 0) },
    { key: 'findings', title: t('findingsSeen'), width: 110, align: 'right', render: (row) => number(at(row).progress?.findings ?? 0) },
    { key: 'error', title: t('cause'), width: 320, render: (item) => item.error && <span className={item.status === 'failed' ? css.bad : css.warn}>{item.error}</span> },
  ]
  const open = rows.find((item) => item.id === search.item)
  return (
    <>
      {task.progress.failed > 0 && <Alert type="error" showIcon title={t('someFailed', { count: task.progress.failed, number: number(task.progress.failed) })} description={t('someFailedWhy')} />}
      <DataTable
        name="task-items"
        label={t('itemsOf')}
        query={query}
        columns={columns}
        rowKey={(item) => item.id}
        onOpen={(item) => set({ item: item.id })}
        open={search.item}
        empty={<EmptyState title={t('noItems')} />}
      />
      <SlideOver open={Boolean(open)} onClose={() => set({ item: undefined })} title={open?.name ?? ''}>
        {open && <ItemDetail item={open} />}
      </SlideOver>
    </>
  )
}
