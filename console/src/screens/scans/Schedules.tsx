import { DeleteOutlined, EditOutlined, PlayCircleOutlined, PlusOutlined } from '@ant-design/icons'
import { useQueryClient } from '@tanstack/react-query'
import { Link, useNavigate } from '@tanstack/react-router'
import { App, Button, Tooltip } from 'antd'
import { useTranslation } from 'react-i18next'

import { whole } from '../../parts/whole'
import { ScheduleForm } from './ScheduleForm'
import { Tabs } from './Tabs'
import { useTimesText } from './timesText'
import css from './scans.module.css'
import { api, type Schemas } from '../../api/client'
import { useMay } from '../../app/session'
import { DataTable, type Column } from '../../parts/DataTable'
import { EmptyState } from '../../parts/EmptyState'
import { Page } from '../../parts/Page'
import { Problem } from '../../parts/Problem'
import { useUrl } from '../../parts/search'
import { When } from '../../parts/When'
import { useFormat } from '../../text/format'

type Schedule = Schemas['Schedule']

// Schedules lists the scans that start by themselves.
export default function Schedules() {
  const { t } = useTranslation('scans')
  const { number } = useFormat()
  const [search, set] = useUrl()
  const navigate = useNavigate()
  const client = useQueryClient()
  const { modal } = App.useApp()
  const may = useMay('manage-schedules')
  const mayScan = useMay('scan')
  const text = useTimesText()
  const query = whole<Schedule>(api.useQuery('get', '/api/v1/schedules'))
  const refresh = () => void client.invalidateQueries({ predicate: (q) => q.queryKey[1] === '/api/v1/schedules' })
  const run = api.useMutation('post', '/api/v1/schedules/{id}/run', { onSuccess: (task) => void navigate({ to: '/tasks/$id', params: { id: task.id } }) })
  const remove = api.useMutation('delete', '/api/v1/schedules/{id}', { onSuccess: refresh })
  const of = (s: Schedule) => ({ params: { path: { id: Number(s.id) } } })
  const ask = (s: Schedule) =>
    modal.confirm({
      title: t('removeSchedule', { name: s.name }),
      content: t('removeScheduleWhy'),
      okText: t('remove'),
      okButtonProps: { danger: true },
      cancelText: t('cancelForm'),
      onOk: () => remove.mutateAsync(of(s)).catch(() => undefined),
    })
  const columns: Column<Schedule>[] = [
    { key: 'name', title: t('name'), width: 200, render: (s) => s.name },
    { key: 'when', title: t('when'), width: 240, render: (s) => <span title={s.cron}>{text(s.cron, s.timeZone)}</span> },
    { key: 'next', title: t('nextRun'), width: 130, render: (s) => (s.enabled ? <When at={s.nextRun} /> : t('paused')) },
    {
      key: 'last',
      title: t('lastRun'),
      width: 130,
      render: (s) =>
        s.lastTaskId ? (
          <Link to="/tasks/$id" params={{ id: s.lastTaskId }}>
            <When at={s.lastRun} />
          </Link>
        ) : (
          <When at={s.lastRun} />
        ),
    },
    { key: 'where', title: t('where'), width: 160, render: (s) => (s.allClusters ? t('allClusters') : s.clusters.map((c) => c.name).join(', ')) },
    { key: 'items', title: t('items'), width: 150, render: (s) => (s.items.length >= 8 ? t('allItems') : t('itemCount', { count: s.items.length, number: number(s.items.length) })) },
    { key: 'note', title: t('note'), width: 160, render: (s) => <span className={css.warn}>{s.note}</span> },
    {
      key: 'actions',
      title: t('actions'),
      width: 130,
      render: (s) => (
        <>
          {mayScan && <Act label={t('runNow', { name: s.name })} icon={<PlayCircleOutlined />} onClick={() => run.mutate(of(s))} />}
          {may && <Act label={t('changeSchedule', { name: s.name })} icon={<EditOutlined />} onClick={() => set({ edit: s.id })} />}
          {may && <Act label={t('removeSchedule', { name: s.name })} icon={<DeleteOutlined />} onClick={() => ask(s)} />}
        </>
      ),
    },
  ]
  const add = may && (
    <Button type="primary" icon={<PlusOutlined />} onClick={() => set({ edit: 'new' })}>
      {t('addSchedule')}
    </Button>
  )
  const rows: Schedule[] = (query.data?.pages ?? []).flatMap((p) => p.items ?? [])
  const edited = search.edit === 'new' ? 'new' : rows.find((s) => s.id === search.edit)
  return (
    <Page title={t('schedules')} lead={t('schedulesLead')} actions={add}>
      <Tabs here="schedules" />
      {run.error || remove.error ? <Problem error={run.error ?? remove.error} /> : null}
      <DataTable
        name="schedules"
        label={t('schedules')}
        query={query}
        columns={columns}
        rowKey={(s) => s.id}
        onOpen={may ? (s) => set({ edit: s.id }) : undefined}
        empty={<EmptyState title={t('noSchedules')} hint={t('noSchedulesHint')} action={add} />}
      />
      {may && edited && <ScheduleForm key={search.edit} schedule={edited === 'new' ? undefined : edited} onClose={() => set({ edit: undefined }, true)} onSaved={refresh} />}
    </Page>
  )
}

function Act({ label, icon, onClick }: { label: string; icon: React.ReactNode; onClick: () => void }) {
  return (
    <Tooltip title={label}>
      <Button size="small" type="text" icon={icon} aria-label={label} onClick={onClick} />
    </Tooltip>
  )
}
