import { RedoOutlined, StopOutlined } from '@ant-design/icons'
import { useQueryClient } from '@tanstack/react-query'
import { App, Button } from 'antd'
import { useTranslation } from 'react-i18next'

import { going, retryable, type Task } from './progress'
import { api } from '../../api/client'
import { rolesThat, useProfile } from '../../app/session'
import { Problem } from '../../parts/Problem'

// useMayScan reports whether the user may scan everything that a task is about.
export function useMayScan(task: Task | undefined): boolean {
  const profile = useProfile()
  if (!task || !profile.actions.includes('scan')) return false
  const roles = profile.grants.filter((g) => rolesThat('scan').includes(g.role) && !g.namespace)
  return task.targets.every((x) => roles.some((g) => !g.targetId || g.targetId === '0' || g.targetId === x.id))
}

// TaskActions cancel a task, with a question first, and try again what failed of it.
export function TaskActions({ task }: { task: Task }) {
  const { t } = useTranslation('scans')
  const { modal } = App.useApp()
  const client = useQueryClient()
  const refresh = () => void client.invalidateQueries({ predicate: (q) => String(q.queryKey[1]).startsWith('/api/v1/tasks') })
  const cancel = api.useMutation('post', '/api/v1/tasks/{id}/cancel', { onSettled: refresh })
  const retry = api.useMutation('post', '/api/v1/tasks/{id}/retry', { onSettled: refresh })
  const params = { path: { id: Number(task.id) } }
  const ask = () =>
    modal.confirm({
      title: t('cancelTask', { name: task.name }),
      content: t('cancelTaskWhy'),
      okText: t('cancelYes'),
      okButtonProps: { danger: true },
      cancelText: t('cancelNo'),
      onOk: () => cancel.mutateAsync({ params }).catch(() => undefined),
    })
  return (
    <>
      {going(task.status) && (
        <Button danger icon={<StopOutlined />} onClick={ask} disabled={task.canceling} loading={cancel.isPending}>
          {task.canceling ? t('canceling') : t('cancel')}
        </Button>
      )}
      {retryable(task) && (
        <Button icon={<RedoOutlined />} onClick={() => retry.mutate({ params })} loading={retry.isPending}>
          {t('retry')}
        </Button>
      )}
      {cancel.error || retry.error ? <Problem error={cancel.error ?? retry.error} /> : null}
    </>
  )
}
