import { useTranslation } from 'react-i18next'

import { reason, step } from './links'
import css from './overview.module.css'
import { To } from './To'
import type { Schemas } from '../../api/client'
import type { Scope } from '../../app/scope'
import { useFormat } from '../../text/format'

type Props = { score: Schemas['ScoreBody']; scope: Scope }

const radius = 52
const round = 2 * Math.PI * radius

// grade is the word for a score, so that its colour does not stand alone.
export function grade(value: number): 'good' | 'fair' | 'poor' {
  return value >= 80 ? 'good' : value >= 50 ? 'fair' : 'poor'
}

function Ring({ value }: { value: number }) {
  const { t } = useTranslation('overview')
  const word = t(`grade.${grade(value)}`)
  return (
    <div className={css.ring}>
      <svg viewBox="0 0 128 128" width={128} height={128} role="img" aria-label={t('scoreOf', { value, grade: word })}>
        <circle cx={64} cy={64} r={radius} className={css.ringBase} />
        <circle cx={64} cy={64} r={radius} className={`${css.ringValue} ${css[grade(value)]}`} strokeDasharray={`${(value / 100) * round} ${round}`} transform="rotate(-90 64 64)" />
        <text x={64} y={66} className={css.ringNumber}>
          {value}
        </text>
        <text x={64} y={86} className={css.ringWord}>
          {word}
        </text>
      </svg>
    </div>
  )
}

// Score shows the score, what was taken off, and what raises it most.
export function Score({ score, scope }: Props) {
  const { t } = useTranslation('overview')
  const { number } = useFormat()
  const deductions = score.deductions ?? []
  const steps = score.steps ?? []
  return (
    <div className={css.score}>
      <Ring value={score.value} />
      <div className={css.deductions}>
        <h3>{t('deductions')}</h3>
        {deductions.length === 0 && <p className={css.soft}>{t('noDeductions')}</p>}
        <ul>
          {deductions.map((d) => (
            <li key={d.reason}>
              <To target={reason(scope, d.reason)}>{t(`deduction.${d.reason}`, { count: d.count, number: number(d.count) })}</To>
              <span className={css.points}>{t('minus', { points: d.points })}</span>
            </li>
          ))}
        </ul>
      </div>
      <div className={css.steps}>
        <h3>{t('steps')}</h3>
        {steps.length === 0 && <p className={css.soft}>{deductions.length === 0 ? t('nothingToRaise') : t('noSteps')}</p>}
        <ol>
          {steps.map((s) => (
            <li key={s.kind + s.title}>
              <To target={step(scope, s.kind, s.filter)} className={css.stepTitle}>
                {s.title}
              </To>
              <span className={css.soft}>{t(`stepCount.${s.kind}`, { count: s.count, number: number(s.count) })}</span>
              <span className={css.gain}>{t('plus', { points: s.gain })}</span>
            </li>
          ))}
        </ol>
      </div>
    </div>
  )
}
