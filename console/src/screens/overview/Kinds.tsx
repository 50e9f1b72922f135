import { useTranslation } from 'react-i18next'

import type { Target } from './links'
import css from './overview.module.css'
import { To } from './To'
import { severities } from '../../parts/Severity'
import { useFormat } from '../../text/format'

export const kinds = ['system-vulnerability', 'application-vulnerability', 'emergency', 'configuration', 'permission', 'secret', 'malware', 'iac'] as const

type Props = { counts: Record<string, Record<string, number>>; link: (filter: Record<string, string>) => Target }

// Kinds is the table of active findings by kind and severity; every number links to what it counts.
export function Kinds({ counts, link }: Props) {
  const { t } = useTranslation('overview')
  const { t: word } = useTranslation('words')
  const { number } = useFormat()
  const cell = (n: number, filter: Record<string, string>, label: string, className = '') =>
    n === 0 ? (
      <span className={css.zero}>0</span>
    ) : (
      <To target={link(filter)} label={`${label}: ${number(n)}`} className={className}>
        {number(n)}
      </To>
    )
  const sums: Record<string, number> = {}
  for (const k of kinds) for (const [s, n] of Object.entries(counts[k] ?? {})) sums[s] = (sums[s] ?? 0) + n
  const total = Object.values(sums).reduce((a, b) => a + b, 0)
  return (
    <div className={css.scroll} tabIndex={0} role="region" aria-label={t('byKind')}>
      <table className={css.kinds}>
        <thead>
          <tr>
            <th scope="col">{t('kind')}</th>
            {severities.map((s) => (
              <th key={s} scope="col" className={css[s]}>
                {word(`severity.${s}`)}
              </th>
            ))}
            <th scope="col">{t('all')}</th>
          </tr>
        </thead>
        <tbody>
          {kinds.map((k) => {
            const row = counts[k] ?? {}
            const sum = Object.values(row).reduce((a, b) => a + b, 0)
            return (
              <tr key={k}>
                <th scope="row">{word(`kind.${k}`)}</th>
                {severities.map((s) => (
                  <td key={s}>{cell(row[s] ?? 0, { kind: k, severity: s }, `${word(`kind.${k}`)}, ${word(`severity.${s}`)}`, css[s])}</td>
                ))}
                <td>{cell(sum, { kind: k }, word(`kind.${k}`))}</td>
              </tr>
            )
          })}
        </tbody>
        <tfoot>
          <tr>
            <th scope="row">{t('all')}</th>
            {severities.map((s) => (
              <td key={s}>{cell(sums[s] ?? 0, { severity: s }, word(`severity.${s}`), css[s])}</td>
            ))}
            <td>{cell(total, {}, t('allFindings'))}</td>
          </tr>
        </tfoot>
      </table>
    </div>
  )
}
