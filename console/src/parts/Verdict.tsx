import { CheckCircleFilled, CloseCircleFilled, MinusCircleOutlined, QuestionCircleOutlined, WarningFilled } from '@ant-design/icons'

const looks = {
  ok: { icon: CheckCircleFilled, color: 'var(--good)' },
  warn: { icon: WarningFilled, color: 'var(--medium)' },
  bad: { icon: CloseCircleFilled, color: 'var(--critical)' },
  ended: { icon: MinusCircleOutlined, color: 'var(--text-soft)' },
  none: { icon: CloseCircleFilled, color: 'var(--critical)' },
  unknown: { icon: QuestionCircleOutlined, color: 'var(--text-soft)' },
} as const

// Verdict says how something is by sign, word and colour.
export function Verdict({ state, word, why, wraps }: { state: keyof typeof looks; word: string; why?: string; wraps?: boolean }) {
  const { icon: Icon, color } = looks[state]
  return (
    <span style={{ display: 'inline-flex', gap: 6, alignItems: 'center', whiteSpace: wraps ? undefined : 'nowrap', color }} title={why}>
      <Icon aria-hidden />
      {word}
    </span>
  )
}
