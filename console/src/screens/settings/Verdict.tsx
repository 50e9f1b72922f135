import { CheckCircleFilled, CloseCircleFilled, MinusCircleOutlined, QuestionCircleOutlined, WarningFilled } from '@ant-design/icons'
import { useTranslation } from 'react-i18next'

import css from './Settings.module.css'

const looks = {
  ok: { icon: CheckCircleFilled, className: css.ok },
  warn: { icon: WarningFilled, className: css.warn },
  bad: { icon: CloseCircleFilled, className: css.bad },
  ended: { icon: MinusCircleOutlined, className: css.quiet },
  none: { icon: CloseCircleFilled, className: css.bad },
  unknown: { icon: QuestionCircleOutlined, className: css.quiet },
} as const

type Props = { state: 'ok' | 'warn' | 'bad'; word?: string } | { state: keyof typeof looks; word: string }

// Verdict says how something is by sign, word and colour.
export function Verdict({ state, word }: Props) {
  const { t } = useTranslation('settings')
  const { icon: Icon, className } = looks[state]
  return (
    <span className={`${css.state} ${className}`}>
      <Icon aria-hidden />
      {word ?? t(`state.${state as 'ok' | 'warn' | 'bad'}`)}
    </span>
  )
}
