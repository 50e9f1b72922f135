import { CloseCircleOutlined, EyeOutlined, WarningOutlined } from '@ant-design/icons'
import { useTranslation } from 'react-i18next'

import css from './policies.module.css'

const icons = { audit: EyeOutlined, warn: WarningOutlined, block: CloseCircleOutlined } as const
const known = ['audit', 'warn', 'block'] as const

// ActionTag names what happens: sign, word and colour.
export function ActionTag({ action }: { action: string }) {
  const { t } = useTranslation('policies')
  const a = known.find((k) => k === action) ?? 'audit'
  const Icon = icons[a]
  return (
    <span className={`${css.action} ${css[a]}`}>
      <Icon aria-hidden /> {t(`action.${a}`)}
    </span>
  )
}
