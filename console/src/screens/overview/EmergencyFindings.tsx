import { useTranslation } from 'react-i18next'

import { findings } from './links'
import css from './overview.module.css'
import { To } from './To'
import type { Schemas } from '../../api/client'
import type { Scope } from '../../app/scope'
import { SeverityTag } from '../../parts/Severity'
import { useFormat } from '../../text/format'

const most = 5

// EmergencyFindings lists the emergency vulnerabilities that were found in a part of a cluster.
export function EmergencyFindings({ overview, scope }: { overview: Schemas['OverviewBody']; scope: Scope }) {
  const { t } = useTranslation('overview')
  const { number } = useFormat()
  const list = overview.emergency ?? []
  if (list.length === 0) {
    const blind = (overview.coverage.gaps['no-advisory-data'] ?? 0) > 0 || overview.coverage.never > 0
    return <p className={css.soft}>{blind ? t('noEmergencyBlind') : t('noEmergency')}</p>
  }
  return (
    <>
      <ul className={css.rows}>
        {list.slice(0, most).map((r) => (
          <li key={r.id}>
            <SeverityTag severity={r.severity} />
            <To target={findings(scope, { rule: r.rule, kind: r.kind })} className={css.cut}>
              {r.title || r.rule}
            </To>
            <span className={css.soft}>{t('affected', { count: r.active, number: number(r.active) })}</span>
          </li>
        ))}
      </ul>
      {list.length > most && <To target={{ to: '/risks', search: { ...findings(scope, { kind: 'emergency' }).search, view: 'risks' } }}>{t('allEmergency')}</To>}
    </>
  )
}
