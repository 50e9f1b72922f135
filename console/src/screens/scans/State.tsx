import { CheckCircleOutlined, ClockCircleOutlined, CloseCircleOutlined, ExclamationCircleOutlined, LoadingOutlined, StopOutlined } from '@ant-design/icons'
import { useTranslation } from 'react-i18next'

import type { Status } from './progress'
import css from './scans.module.css'

const signs: Record<Status, { icon: React.ReactNode; className?: string }> = {
  ready: { icon: <ClockCircleOutlined />, className: css.soft },
  running: { icon: <LoadingOutlined /> },
  finished: { icon: <CheckCircleOutlined />, className: css.good },
  done: { icon: <CheckCircleOutlined />, className: css.good },
  partial: { icon: <ExclamationCircleOutlined />, className: css.warn },
  failed: { icon: <CloseCircleOutlined />, className: css.bad },
  canceled: { icon: <StopOutlined />, className: css.soft },
}

// State names the status of a task or of one of its items: a sign, a colour and the word.
export function State({ status, canceling }: { status: Status; canceling?: boolean }) {
  const { t } = useTranslation(['scans', 'words'])
  const { icon, className } = signs[status]
  const ending = canceling && (status === 'ready' || status === 'running')
  return (
    <span className={`${css.state} ${className ?? ''}`}>
      <span aria-hidden>{icon}</span>
      {ending ? t('canceling') : t(`words:taskStatus.${status}`)}
    </span>
  )
}
