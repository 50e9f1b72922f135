import { useTranslation } from 'react-i18next'

import css from './compliance.module.css'
import type { Outcome } from './model'

export const signs: Record<Outcome, string> = { pass: '✓', fail: '✗', 'fail-accepted': '✗', manual: '?', 'not-applicable': '–' }

// OutcomeTag names a verdict of rules: a sign, the word, and in how many clusters.
export function OutcomeTag({ outcome, count }: { outcome: Outcome; count?: string }) {
  const { t } = useTranslation('compliance')
  return (
    <span className={`${css.tag} ${css[outcome]}`}>
      <span aria-hidden>{signs[outcome]}</span>
      {t(`outcome.${outcome}`)}
      {count !== undefined && ` · ${count}`}
    </span>
  )
}

// AttestedTag names what a person found out. It has another form than a verdict, since it is none.
export function AttestedTag({ verdict }: { verdict: 'pass' | 'fail' | 'not-applicable' }) {
  const { t } = useTranslation('compliance')
  return <span className={`${css.tag} ${css.attested}`}>{t('attestedAs', { verdict: t(`outcome.${verdict}`) })}</span>
}
