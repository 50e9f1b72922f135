import { Link } from '@tanstack/react-router'
import { useTranslation } from 'react-i18next'

import css from './iac.module.css'
import { api, type Schemas } from '../../api/client'
import { DataTable, paging, type Column } from '../../parts/DataTable'
import { EmptyState } from '../../parts/EmptyState'
import { When } from '../../parts/When'
import { useFormat } from '../../text/format'
import { State } from '../scans/State'

type Item = Schemas['Item']

// History lists the uploads of a project with what each changed.
export function History({ project, target }: { project: string; target: string }) {
  const { t } = useTranslation('iac')
  const { number } = useFormat()
  const query = api.useInfiniteQuery('get', '/api/v1/projects/{name}/scans', { params: { path: { name: project }, query: { limit: 50 } } }, paging)
  const count = (n: number | undefined, more: Record<string, string>) =>
    n === undefined ? '–' : n === 0 ? number(0) : <Link to="/risks" search={{ view: 'findings', target, ...more }}>{number(n)}</Link>
  const columns: Column<Item>[] = [
    { key: 'at', title: t('uploadedAt'), width: 150, render: (item) => <When at={item.createdAt} /> },
    {
      key: 'status',
      title: t('lastScan'),
      width: 160,
      render: (item) => (
        <Link to="/tasks/$id" params={{ id: item.taskId }}>
          <State status={item.status} />
        </Link>
      ),
    },
    { key: 'new', title: t('newOnes'), width: 100, align: 'right', render: (item) => count(item.run && item.run.added + item.run.reopened, { firstSince: item.run?.startedAt ?? '' }) },
    { key: 'gone', title: t('fixedOnes'), width: 120, align: 'right', render: (item) => count(item.run && item.run.fixed + item.run.gone, { status: 'fixed,gone', changedSince: item.run?.startedAt ?? '' }) },
    { key: 'same', title: t('unchanged'), width: 110, align: 'right', render: (item) => (item.run ? number(item.run.unchanged) : '–') },
    { key: 'error', title: t('cause'), width: 380, render: (item) => item.error && <span className={item.status === 'failed' ? css.bad : undefined}>{item.error}</span> },
  ]
  return <DataTable name="uploads" label={t('history')} query={query} columns={columns} rowKey={(item) => item.id} empty={<EmptyState title={t('noUploads')} />} />
}
