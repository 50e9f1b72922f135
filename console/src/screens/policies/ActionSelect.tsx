import { Select } from 'antd'
import { useTranslation } from 'react-i18next'

import { actions, type Action } from './shapes'

type Props = { label: string; value: Action | undefined; policy: Action; change: (a: Action | undefined) => void }

// ActionSelect chooses what happens to what a rule finds; by itself it is what the policy says.
export function ActionSelect({ label, value, policy, change }: Props) {
  const { t } = useTranslation('policies')
  return (
    <Select
      aria-label={label}
      size="small"
      value={value ?? ''}
      onChange={(a: Action | '') => change(a || undefined)}
      options={[{ value: '', label: t('asPolicy', { action: t(`action.${policy}`) }) }, ...actions.map((a) => ({ value: a, label: t(`action.${a}`) }))]}
      style={{ minWidth: 170 }}
    />
  )
}
