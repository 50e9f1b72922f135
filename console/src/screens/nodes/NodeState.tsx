import { CheckCircleFilled, CloseCircleFilled, MinusCircleOutlined, PauseCircleFilled, QuestionCircleOutlined, WarningFilled } from '@ant-design/icons'
import { useTranslation } from 'react-i18next'

import type { State } from './shapes'
import { useSaid } from '../../app/said/said'

const looks: Record<State, { icon: typeof WarningFilled; color: string }> = {
  protected: { icon: CheckCircleFilled, color: 'var(--good)' },
  paused: { icon: PauseCircleFilled, color: 'var(--medium)' },
  degraded: { icon: WarningFilled, color: 'var(--medium)' },
  away: { icon: CloseCircleFilled, color: 'var(--critical)' },
  never: { icon: QuestionCircleOutlined, color: 'var(--text-soft)' },
  unsupported: { icon: MinusCircleOutlined, color: 'var(--text-soft)' },
}

// NodeState says how a node is protected: sign, word and colour; why on hover.
export function NodeState({ state, reason }: { state: State; reason?: string }) {
  const { t } = useTranslation('nodes')
  const said = useSaid()
  const { icon: Icon, color } = looks[state]
  return (
    <span style={{ display: 'inline-flex', gap: 6, alignItems: 'center', whiteSpace: 'nowrap', color }} title={reason ? said(reason) : t(`stateHint.${state}`)}>
      <Icon aria-hidden />
      {t(`state.${state}`)}
    </span>
  )
}
