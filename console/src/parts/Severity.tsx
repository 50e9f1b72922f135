import { Link } from '@tanstack/react-router'
import { useTranslation } from 'react-i18next'

import { useFormat } from '../text/format'
import css from './Severity.module.css'

export const severities = ['critical', 'high', 'medium', 'low', 'info'] as const
export type SeverityWord = (typeof severities)[number]

// SeverityTag names a severity: colour, and the word.
export function SeverityTag({ severity }: { severity: string }) {
  const { t } = useTranslation('words')
  return <span className={`${css.tag} ${css[severity] ?? css.info}`}>{t(`severity.${severity as SeverityWord}`)}</span>
}

type CountsProps = {
  counts: Record<string, number> | undefined
  // link makes the search of the list that a number counts; without it the numbers are plain
  link?: (severity: SeverityWord) => { to: string; search: Record<string, string> }
  all?: boolean // zeros too
}

// SeverityCounts shows a number for each severity, as links to what they count.
export function SeverityCounts({ counts, link, all }: CountsProps) {
  const { t } = useTranslation('words')
  const { compact, number } = useFormat()
  const shown = severities.filter((s) => all || (counts?.[s] ?? 0) > 0)
  if (shown.length === 0) return <span className={css.none}>0</span>
  return (
    <span className={css.counts}>
      {shown.map((s) => {
        const n = counts?.[s] ?? 0
        const short = compact(n)
        const label = `${t(`severity.${s}`)}: ${short === number(n) ? short : `${short} (${number(n)})`}` // the name holds what is seen
        const className = `${css.count} ${css[s]} ${n === 0 ? css.zero : ''}`
        if (!link || n === 0)
          return (
            <span key={s} className={className} title={label} role="img" aria-label={label}>
              {short}
            </span>
          )
        const { to, search } = link(s)
        return (
          <Link key={s} to={to} search={search} className={className} title={label} aria-label={label}>
            {short}
          </Link>
        )
      })}
    </span>
  )
}
