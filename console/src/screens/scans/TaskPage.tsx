import { Link, useParams } from '@tanstack/react-router'
import { Skeleton } from 'antd'
import { useTranslation } from 'react-i18next'

import { Items } from './Items'
import { TaskActions, useMayScan } from './TaskActions'
import { TaskGaps } from './TaskGaps'
import { TaskImages } from './TaskImages'
import { TaskSummary } from './TaskSummary'
import { useTask } from './useTask'
import css from './scans.module.css'
import { Page } from '../../parts/Page'
import { TabBar } from '../../parts/TabBar'
import { Problem } from '../../parts/Problem'
import { useUrl } from '../../parts/search'
import { useFormat } from '../../text/format'

// TaskPage follows one task: how far it is, what failed and why, what it changed.
export default function TaskPage() {
  const { t } = useTranslation('scans')
  const { number } = useFormat()
  const { id } = useParams({ strict: false }) as { id: string }
  const [search, set] = useUrl()
  const { task, progress } = useTask(id)
  const may = useMayScan(task.data)
  const parents = [{ title: t('title'), to: '/scans' }]
  if (task.error) {
    return (
      <Page title={t('task')} parents={parents}>
        <Problem error={task.error} retry={() => void task.refetch()} />
      </Page>
    )
  }
  if (!task.data) {
    return (
      <Page title={t('task')} parents={parents}>
        <Skeleton active paragraph={{ rows: 12 }} />
      </Page>
    )
  }
  const x = task.data
  return (
    <Page
      title={x.name}
      parents={parents}
      lead={
        <span className={css.prose}>
          {t(`triggers.${x.trigger}`)}
          {x.actor && <> · {t('by', { name: x.actor === 'system' ? t('server') : x.actor })}</>}
          {x.scheduleId && (
            <>
              {' '}
              · <Link to="/schedules">{t('ofSchedule')}</Link>
            </>
          )}
          {x.trigger === 'upload' && x.targets[0] && (
            <>
              {' '}
              ·{' '}
              <Link to="/iac/$project" params={{ project: x.targets[0].name }}>
                {x.targets[0].name}
              </Link>
            </>
          )}
        </span>
      }
      actions={may && <TaskActions task={x} />}
    >
      <TaskSummary task={x} />
      <TabBar
        label={t('title')}
        active={search.tab ?? 'items'}
        onChange={(tab) => set({ tab: tab === 'items' ? undefined : tab })}
        tabs={[
          { key: 'items', label: t('itemsTab', { number: number(x.progress.items) }), children: <Items task={x} live={progress} /> },
          ...(x.trigger === 'upload' ? [] : [{ key: 'images', label: t('imagesTab'), children: <TaskImages task={x} /> }]),
          { key: 'gaps', label: t('gapsTab'), children: <TaskGaps task={x} /> },
        ]}
      />
    </Page>
  )
}
