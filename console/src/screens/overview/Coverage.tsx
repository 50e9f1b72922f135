import { useTranslation } from 'react-i18next'

import { gaps, stale } from './links'
import css from './overview.module.css'
import { To } from './To'
import type { Schemas } from '../../api/client'
import type { Scope } from '../../app/scope'
import { When } from '../../parts/When'
import { missing, useFormat } from '../../text/format'

export const codes = ['no-advisory-data', 'forbidden', 'unreachable', 'limit', 'broken', 'unsupported', 'managed', 'skipped'] as const

// Coverage says what the numbers of this page do not know: what was not looked at, not for long, or could not be scanned.
export function Coverage({ overview, scope }: { overview: Schemas['OverviewBody']; scope: Scope }) {
  const { t } = useTranslation('overview')
  const { t: word } = useTranslation('words')
  const { number } = useFormat()
  const c = overview.coverage
  const old = c.never + c.old
  const rest = old - c.staleClusters
  const some = codes.filter((k) => (c.gaps[k] ?? 0) > 0)
  const data = overview.advisories.builtAt
  return (
    <dl className={css.facts}>
      <dt>{t('lookedAt')}</dt>
      <dd>
        {old === 0 ? (
          <span className={css.goodText}>{t('allLookedAt', { count: c.targets, number: number(c.targets) })}</span>
        ) : (
          <>
            {c.staleClusters > 0 && <To target={stale}>{t('staleClusters', { count: c.staleClusters, number: number(c.staleClusters) })}</To>}
            {c.staleClusters > 0 && rest > 0 && ' · '}
            {rest > 0 && <To target={{ to: '/iac', search: {} }}>{t('staleProjects', { count: rest, number: number(rest) })}</To>}
          </>
        )}
        {!missing(c.oldest) && (
          <div className={css.soft}>
            {t('oldest')} <When at={c.oldest} />
          </div>
        )}
      </dd>
      <dt>{t('notScanned')}</dt>
      <dd>
        {scope.namespace.length > 0 ? (
          <span className={css.soft}>{t('gapsOfWhole')}</span>
        ) : some.length === 0 ? (
          c.never > 0 ? t('neverScanned') : <span className={css.goodText}>{t('noGaps')}</span>
        ) : (
          <ul className={css.plain}>
            {some.map((k) => (
              <li key={k}>
                <To target={gaps(scope, k)}>
                  {word(`gap.${k}`)}: {number(c.gaps[k] ?? 0)}
                </To>
              </li>
            ))}
          </ul>
        )}
      </dd>
      <dt>{t('data')}</dt>
      <dd>
        <To target={{ to: '/settings/advisories', search: {} }}>
          {missing(data) ? t('noData') : (
            <>
              {t('dataFrom')} <When at={data} />
            </>
          )}
        </To>
      </dd>
    </dl>
  )
}
