import { useTranslation } from 'react-i18next'

import css from './Finding.module.css'
import { reasonOf, type Reason } from './reasons'
import type { SeverityWord } from '../../parts/Severity'
import { useFormat } from '../../text/format'

// Reasons say how urgent a finding is, and why.
export function Reasons({ score, reasons }: { score: number; reasons: string[] }) {
  const { t } = useTranslation(['risks', 'words'])
  const { date, percent } = useFormat()
  const text = (r: Reason): string => {
    switch (r.key) {
      case 'cvss':
        return t('reasonFor.cvss', { score: r.score, severity: t(`words:severity.${r.severity as SeverityWord}`) })
      case 'rated':
        return t('reasonFor.rated', { severity: t(`words:severity.${r.severity as SeverityWord}`) })
      case 'exploited':
        return t('reasonFor.exploited', { since: Number.isNaN(Date.parse(r.since)) ? r.since : date(r.since) })
      case 'epss':
        return `EPSS ${percent(r.percent / 100)}`
      case 'other':
        return r.text
      default:
        return t(`reasonFor.${r.key}`)
    }
  }
  return (
    <div className={css.reasons}>
      <span>
        {t('col.priority')} <span className={css.score}>{score}</span>
        <span className={css.soft}> / 100</span>
      </span>
      {reasons.map((r) => (
        <span key={r} className={css.reason}>
          {text(reasonOf(r))}
        </span>
      ))}
    </div>
  )
}
