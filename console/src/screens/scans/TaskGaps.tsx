import { Link } from '@tanstack/react-router'
import { useTranslation } from 'react-i18next'

import { going, type Task } from './progress'
import css from './scans.module.css'
import { api, type Schemas } from '../../api/client'
import { useSaid } from '../../app/said/said'
import { numbers } from '../../app/scope'
import { DataTable, paging, type Column } from '../../parts/DataTable'
import { EmptyState } from '../../parts/EmptyState'
import { When } from '../../parts/When'

type Gap = Schemas['Gap']

// TaskGaps lists what of the task's clusters was not scanned, and why. The server keeps that for the last look at each.
export function TaskGaps({ task }: { task: Task }) {
  const { t } = useTranslation(['scans', 'words'])
  const said = useSaid()
  const ids = task.targets.slice(0, 1000).map((x) => x.id)
  const query = api.useInfiniteQuery('get', '/api/v1/gaps', { params: { query: { limit: 100, target: numbers(ids) } } }, { ...paging, enabled: ids.length > 0 })
  const columns: Column<Gap>[] = [
    { key: 'target', title: t('cluster'), width: 150, render: (gap) => gap.target },
    { key: 'what', title: t('what'), width: 200, render: (gap) => gap.what },
    { key: 'subject', title: t('subject'), width: 240, render: (gap) => gap.subject },
    { key: 'code', title: t('kindOfGap'), width: 150, render: (gap) => t(`words:gap.${gap.code as 'broken'}`, { defaultValue: gap.code }) },
    { key: 'reason', title: t('reason'), width: 420, render: (gap) => <span title={gap.reason}>{said(gap.reason)}</span> },
    { key: 'since', title: t('since'), width: 120, render: (gap) => <When at={gap.since} /> },
  ]
  return (
    <div className={css.stack}>
      <p className={`${css.soft} ${css.prose}`}>
        {going(task.status) ? t('gapsGoing') : t('gapsWhy')} <Link to="/gaps">{t('allGaps')}</Link>
      </p>
      <DataTable name="task-gaps" label={t('gapsTab')} query={query} columns={columns} rowKey={(gap) => gap.id} empty={<EmptyState title={t('noGaps')} hint={going(task.status) ? t('gapsGoing') : undefined} />} />
    </div>
  )
}
