import { PlusOutlined } from '@ant-design/icons'
import { useNavigate } from '@tanstack/react-router'
import { Button } from 'antd'
import { lazy, Suspense } from 'react'
import { useTranslation } from 'react-i18next'

import { Coverage } from './Coverage'
import { useNow } from './now'
import { going, type Task } from './progress'
import { Tabs } from './Tabs'
import { useTaskColumns } from './taskColumns'
import css from './scans.module.css'
import { api } from '../../api/client'
import { useLive } from '../../app/live'
import { numbers, useScope } from '../../app/scope'
import { useMay } from '../../app/session'
import { Choice } from '../../parts/Choice'
import { DataTable, paging } from '../../parts/DataTable'
import { EmptyState } from '../../parts/EmptyState'
import { Page } from '../../parts/Page'
import { listOf, useUrl } from '../../parts/search'

const NewScan = lazy(() => import('./NewScan'))

const statuses = ['ready', 'running', 'finished', 'partial', 'failed', 'canceled'] as const
const triggers = ['manual', 'schedule', 'upload', 'verify', 'database', 'watch'] as const
type Trigger = (typeof triggers)[number]
// What a watch notices is scanned every few seconds: such tasks are shown to who asks for them.
const usual: Trigger[] = ['manual', 'schedule', 'upload', 'verify', 'database']

// Scans is the list of tasks.
export default function Scans() {
  const { t } = useTranslation(['scans', 'words'])
  const [search, set] = useUrl()
  const [scope] = useScope()
  const navigate = useNavigate()
  const may = useMay('scan')
  const status = listOf(search.status) as (typeof statuses)[number][]
  const trigger = listOf(search.trigger) as Trigger[]
  const query = api.useInfiniteQuery(
    'get',
    '/api/v1/tasks',
    { params: { query: { limit: 50, status: status.length > 0 ? status : undefined, trigger: trigger.length > 0 ? trigger : usual, targetId: numbers(scope.target) } } },
    paging,
  )
  useLive(['task'], ['/api/v1/tasks'])
  const rows: Task[] = (query.data?.pages ?? []).flatMap((p) => p.items ?? [])
  const columns = useTaskColumns(useNow(rows.some((task) => going(task.status))))
  const start = (
    <Button type="primary" icon={<PlusOutlined />} onClick={() => set({ new: true })}>
      {t('newScan')}
    </Button>
  )
  const narrowed = status.length + trigger.length + scope.target.length > 0
  return (
    <Page title={t('title')} lead={t('lead')} actions={may && start}>
      <Tabs here="tasks" />
      <Coverage />
      <div className={css.filters}>
        <Choice label={t('status')} value={status} options={statuses.map((s) => ({ value: s, label: t(`words:taskStatus.${s}`) }))} onChange={(v) => set({ status: v })} />
        <Choice label={t('trigger')} value={trigger} options={triggers.map((s) => ({ value: s, label: t(`triggers.${s}`) }))} onChange={(v) => set({ trigger: v })} width={220} />
      </div>
      <DataTable
        name="tasks"
        label={t('tasks')}
        query={query}
        columns={columns}
        rowKey={(task) => task.id}
        onOpen={(task) => void navigate({ to: '/tasks/$id', params: { id: task.id } })}
        empty={narrowed ? <EmptyState title={t('noneSuch')} hint={t('noneSuchHint')} /> : <EmptyState title={t('none')} hint={t('noneHint')} action={may && start} />}
      />
      <Suspense>{may && search.new === 'true' && <NewScan targets={scope.target} onClose={() => set({ new: undefined }, true)} />}</Suspense>
    </Page>
  )
}
