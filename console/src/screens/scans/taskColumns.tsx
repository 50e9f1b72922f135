import { Link } from '@tanstack/react-router'
import { useTranslation } from 'react-i18next'

import { Bar } from './Bar'
import { added, closed } from './links'
import { going, left, taskShare, took, whole, type Task } from './progress'
import { State } from './State'
import css from './scans.module.css'
import type { Column } from '../../parts/DataTable'
import { When } from '../../parts/When'
import { useFormat } from '../../text/format'

// useTaskColumns are the columns of the list of tasks.
export function useTaskColumns(now: number): Column<Task>[] {
  const { t } = useTranslation('scans')
  const { duration } = useFormat()
  return [
    {
      key: 'name',
      title: t('name'),
      width: 165,
      render: (task) => (
        <Link to="/tasks/$id" params={{ id: task.id }}>
          {task.name}
        </Link>
      ),
    },
    { key: 'trigger', title: t('trigger'), width: 95, render: (task) => t(`triggers.${task.trigger}`) },
    { key: 'status', title: t('status'), width: 150, render: (task) => <State status={task.status} canceling={task.canceling} /> },
    {
      key: 'progress',
      title: t('progress'),
      width: 150,
      render: (task) => (
        <Bar label={t('progressOf', { name: task.name })} share={taskShare(task)} failed={task.status === 'failed'} remaining={task.progress.remainingMs} />
      ),
    },
    { key: 'counts', title: t('counts'), width: 120, render: (task) => <Counts task={task} /> },
    { key: 'changes', title: t('changes'), width: 150, render: (task) => <Changes task={task} /> },
    { key: 'started', title: t('started'), width: 125, render: (task) => <When at={task.startedAt ?? task.createdAt} /> },
    {
      key: 'took',
      title: t('took'),
      width: 110,
      render: (task) => {
        const ms = took(task, now)
        if (task.status === 'running') return <TimeLeft ms={task.progress.remainingMs} took={ms} />
        return ms === undefined ? '–' : duration(ms)
      },
    },
    { key: 'actor', title: t('actor'), width: 120, hidden: true, render: (task) => task.actor ?? t('server') },
  ]
}

// TimeLeft says how long a running task still takes, where that is known, and else how long it has taken.
function TimeLeft({ ms, took: so }: { ms: number; took?: number }) {
  const { t } = useTranslation('scans')
  const { duration, number } = useFormat()
  const time = left(ms)
  if (time.key === 'leftUnknown') return <>{so === undefined ? '–' : duration(so)}</>
  return <span title={so === undefined ? undefined : duration(so)}>{time.key === 'left' ? t('leftShort', { count: time.count, number: number(time.count) }) : t('leftLittleShort')}</span>
}

// Counts says how many clusters or uploads of a task went well.
export function Counts({ task }: { task: Task }) {
  const { t } = useTranslation('scans')
  const { number } = useFormat()
  const p = task.progress
  return (
    <span className={css.words}>
      {(whole(p) > 0 || p.partial + p.failed === 0) && <span className={css.good}>{t('whole', { number: number(whole(p)) })}</span>}
      {p.partial > 0 && <span className={css.warn}>{t('partly', { number: number(p.partial) })}</span>}
      {p.failed > 0 && <span className={css.bad}>{t('failedCount', { number: number(p.failed) })}</span>}
    </span>
  )
}

// Changes leads to the findings that a task brought and settled.
export function Changes({ task }: { task: Task }) {
  const { t } = useTranslation('scans')
  const { number } = useFormat()
  const { added: n, closed: gone } = task.progress
  if (n + gone === 0) return <span className={css.soft}>{going(task.status) ? '–' : t('nothingChanged')}</span>
  return (
    <span className={css.words}>
      {n > 0 && <Link {...added(task)}>{t('new', { count: n, number: number(n) })}</Link>}
      {gone > 0 && <Link {...closed(task)}>{t('closed', { count: gone, number: number(gone) })}</Link>}
    </span>
  )
}
