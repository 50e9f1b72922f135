import { CheckCircleFilled, CloseCircleFilled, LoadingOutlined, MinusCircleOutlined, WarningFilled } from '@ant-design/icons'
import { useTranslation } from 'react-i18next'

import { states } from './shapes'

const looks: Record<(typeof states)[number], { icon: typeof LoadingOutlined; color: string }> = {
  protected: { icon: CheckCircleFilled, color: 'var(--good)' },
  'no-policy': { icon: WarningFilled, color: 'var(--medium)' },
  'policy-failed': { icon: WarningFilled, color: 'var(--critical)' },
  installing: { icon: LoadingOutlined, color: 'var(--low)' },
  error: { icon: CloseCircleFilled, color: 'var(--critical)' },
  removing: { icon: LoadingOutlined, color: 'var(--low)' },
  'remove-failed': { icon: CloseCircleFilled, color: 'var(--critical)' },
  unprotected: { icon: MinusCircleOutlined, color: 'var(--text-soft)' },
}

// StateTag says how a cluster is protected: sign, words and colour.
export function StateTag({ state, reason }: { state: string; reason?: string }) {
  const { t } = useTranslation('protection')
  const s = states.find((x) => x === state) ?? 'unprotected'
  const { icon: Icon, color } = looks[s]
  return (
    <span style={{ display: 'inline-flex', gap: 6, alignItems: 'center', whiteSpace: 'nowrap', color }} title={reason || t(`stateHint.${s}`)}>
      <Icon aria-hidden />
      {t(`state.${s}`)}
    </span>
  )
}
