import { CheckCircleFilled, ClockCircleOutlined, CloseCircleFilled, QuestionCircleOutlined, StopFilled } from '@ant-design/icons'
import { Tooltip } from 'antd'
import { useTranslation } from 'react-i18next'

import css from './assets.module.css'

const icons = { connected: CheckCircleFilled, unreachable: CloseCircleFilled, refused: StopFilled, waiting: ClockCircleOutlined, never: QuestionCircleOutlined } as const
type State = keyof typeof icons

// ClusterState says how the connection to a cluster stands, and why.
export function ClusterState({ state, reason, snapshot }: { state: string; reason?: string; snapshot?: boolean }) {
  const { t } = useTranslation('assets')
  const known: State = state in icons ? (state as State) : 'never'
  const Icon = icons[known]
  return (
    <Tooltip title={reason}>
      <span className={`${css.state} ${css[known]}`}>
        <Icon aria-hidden /> {snapshot && known === 'connected' ? t('state.saved') : t(`state.${known}`)}
      </span>
    </Tooltip>
  )
}
