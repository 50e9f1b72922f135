import { Link } from '@tanstack/react-router'
import { useTranslation } from 'react-i18next'

import css from './overview.module.css'
import type { Schemas } from '../../api/client'
import { SeverityCounts } from '../../parts/Severity'
import { useFormat } from '../../text/format'

const grave = new Set(['known-exploited', 'emergency', 'malware', 'exposed', 'privileged'])

function Reasons({ of }: { of: Schemas['RiskyLine'] }) {
  const { t } = useTranslation('overview')
  const { number } = useFormat()
  return (
    <ul className={css.chips} aria-label={t('reasons')}>
      {(of.reasons ?? []).map((r) => (
        <li key={r.code} className={grave.has(r.code) ? css.grave : undefined}>
          {t(`reason.${r.code}`, { count: r.count ?? 0, number: number(r.count ?? 0) })}
        </li>
      ))}
    </ul>
  )
}

// Workloads lists the workloads that are worst off, with what makes them risky.
export function Workloads({ list }: { list: Schemas['RiskyLine'][] }) {
  const { t } = useTranslation('overview')
  if (list.length === 0) return <p className={css.soft}>{t('noWorkloads')}</p>
  return (
    <ul className={css.assets}>
      {list.map((w) => (
        <li key={w.id}>
          <div className={css.asset}>
            <Link to="/assets/workloads/$id" params={{ id: w.id }}>
              {w.name}
            </Link>
            <span className={css.soft}>
              {(w.groupKind ?? '').split('.')[0]} · {w.target} / {w.namespace}
            </span>
          </div>
          <SeverityCounts counts={{ critical: w.critical, high: w.high, medium: w.medium }} link={(severity) => ({ to: '/risks', search: { view: 'findings', asset: w.id, severity } })} />
          <Reasons of={w} />
          {w.worst && (
            <Link to="/findings/$id" params={{ id: w.worst.id }} className={css.worst}>
              {w.worst.title || w.worst.rule}
            </Link>
          )}
        </li>
      ))}
    </ul>
  )
}

// Images lists the images that are worst off.
export function Images({ list }: { list: Schemas['Asset'][] }) {
  const { t } = useTranslation('overview')
  if (list.length === 0) return <p className={css.soft}>{t('noImages')}</p>
  return (
    <ul className={css.assets}>
      {list.map((i) => (
        <li key={i.id}>
          <div className={css.asset}>
            {i.digest ? (
              <Link to="/images/$digest" params={{ digest: i.digest }} className={css.cut} title={i.name}>
                {i.name}
              </Link>
            ) : (
              <Link to="/images" search={{ q: i.name }} className={css.cut} title={i.name}>
                {i.name}
              </Link>
            )}
            <span className={css.soft}>{i.target}</span>
          </div>
          <SeverityCounts counts={{ critical: i.critical, high: i.high, medium: i.medium }} link={(severity) => ({ to: '/risks', search: { view: 'findings', asset: i.id, severity } })} />
        </li>
      ))}
    </ul>
  )
}
