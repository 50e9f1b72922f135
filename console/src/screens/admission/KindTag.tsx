import { ClockCircleOutlined, CloseCircleOutlined, EyeOutlined, QuestionCircleOutlined, SwapOutlined, WarningOutlined } from '@ant-design/icons'
import { useTranslation } from 'react-i18next'

import { kinds, type Kind } from './filter'

const looks: Record<Kind, { icon: typeof EyeOutlined; tone: string }> = {
  blocked: { icon: CloseCircleOutlined, tone: 'critical' },
  warned: { icon: WarningOutlined, tone: 'medium' },
  audited: { icon: EyeOutlined, tone: 'low' },
  turned: { icon: SwapOutlined, tone: 'high' },
  existing: { icon: ClockCircleOutlined, tone: 'info' },
  unchecked: { icon: QuestionCircleOutlined, tone: 'high' },
}

// KindTag says what happened: sign, word and colour.
export function KindTag({ kind }: { kind: string }) {
  const { t } = useTranslation('admission')
  const k = kinds.find((x) => x === kind) ?? 'audited'
  const { icon: Icon, tone } = looks[k]
  return (
    <span style={{ color: `var(--${tone})`, whiteSpace: 'nowrap' }} title={t(`kindHint.${k}`)}>
      <Icon aria-hidden /> {t(`kind.${k}`)}
    </span>
  )
}
