import { Link } from '@tanstack/react-router'
import { useTranslation } from 'react-i18next'

import { Bar } from './Bar'
import { changes } from './links'
import { useNow } from './now'
import { going, taskShare, took, type Task } from './progress'
import { State } from './State'
import { Changes, Counts } from './taskColumns'
import css from './scans.module.css'
import { Panel } from '../../parts/Page'
import { When } from '../../parts/When'
import { useFormat } from '../../text/format'

// TaskSummary is the head of a task: status, bar, numbers.
export function TaskSummary({ task }: { task: Task }) {
  const { t } = useTranslation('scans')
  const { duration, number } = useFormat()
  const open = going(task.status)
  const ms = took(task, useNow(open))
  const p = task.progress
  return (
    <Panel title={t('progress')}>
      <div className={css.stack}>
        <div className={css.row} role="status">
          <State status={task.status} canceling={task.canceling} />
        </div>
        <Bar label={t('progressOf', { name: task.name })} share={taskShare(task)} failed={task.status === 'failed'} remaining={p.remainingMs} going={open} />
        <dl className={css.facts}>
          <div>
            <dt>{t('started')}</dt>
            <dd>{task.startedAt ? <When at={task.startedAt} /> : t('notStarted')}</dd>
          </div>
          <div>
            <dt>{t('took')}</dt>
            <dd>{ms === undefined ? '–' : duration(ms)}</dd>
          </div>
          <div>
            <dt>{t('counts')}</dt>
            <dd>
              <Counts task={task} />
            </dd>
          </div>
          <div>
            <dt>{t('objects')}</dt>
            <dd>{number(p.objects)}</dd>
          </div>
          {p.imagesTotal > 0 && (
            <div>
              <dt>{t('images')}</dt>
              <dd>
                {t('ofAll', { done: number(p.images), all: number(p.imagesTotal) })}
                {p.imagesFailed > 0 && <span className={css.bad}> {t('imagesUnread', { count: p.imagesFailed, number: number(p.imagesFailed) })}</span>}
              </dd>
            </div>
          )}
          <div>
            <dt>{t('changes')}</dt>
            <dd>
              <Changes task={task} />
            </dd>
          </div>
        </dl>
        <div className={css.row}>
          <span className={css.soft}>
            {t('itemsAre', { list: task.items.map((part) => t(`parts.${part as 'images'}`)).join(' · ') })}
          </span>
          {task.startedAt && <Link {...changes(task)}>{t('allChanges')}</Link>}
        </div>
      </div>
    </Panel>
  )
}
