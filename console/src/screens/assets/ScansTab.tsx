import { Link } from '@tanstack/react-router'
import { useMemo } from 'react'
import { useTranslation } from 'react-i18next'

import css from './assets.module.css'
import type { Task } from './shapes'
import { api } from '../../api/client'
import { DataTable, paging, type Column } from '../../parts/DataTable'
import { EmptyState } from '../../parts/EmptyState'
import { When } from '../../parts/When'
import { duration, missing } from '../../text/format'

// ScansTab lists the tasks that were about a cluster, the newest first.
export default function ScansTab({ id }: { id: string }) {
  const { t } = useTranslation('assets')
  const { t: word } = useTranslation('words')
  const query = api.useInfiniteQuery('get', '/api/v1/tasks', { params: { query: { targetId: [Number(id)], limit: 50 } } }, paging)
  const columns = useMemo<Column<Task>[]>(
    () => [
      {
        key: 'name',
        title: t('name'),
        width: 280,
        render: (x) => (
          <Link to="/tasks/$id" params={{ id: x.id }} className={css.strong}>
            {x.name}
          </Link>
        ),
      },
      { key: 'trigger', title: t('columns.trigger'), width: 140, render: (x) => t(`trigger.${x.trigger}`) },
      { key: 'status', title: t('columns.status'), width: 150, render: (x) => word(`taskStatus.${x.status}`) },
      { key: 'started', title: t('columns.started'), width: 140, render: (x) => <When at={x.startedAt} /> },
      {
        key: 'took',
        title: t('columns.took'),
        width: 120,
        render: (x) => (missing(x.startedAt) || missing(x.finishedAt) ? '–' : duration(new Date(x.finishedAt!).getTime() - new Date(x.startedAt!).getTime())),
      },
      { key: 'by', title: t('columns.by'), width: 140, render: (x) => x.actor ?? '–' },
    ],
    [t, word],
  )
  return <DataTable name="cluster-scans" label={t('tabs.scans')} query={query} columns={columns} rowKey={(x) => x.id} height="calc(100vh - 340px)" empty={<EmptyState title={t('noScans')} hint={t('neverLookedHint')} />} />
}
