import { useTranslation } from 'react-i18next'

import { fixed, recent } from './links'
import css from './overview.module.css'
import { To } from './To'
import type { Schemas } from '../../api/client'
import { searchOf, type Scope } from '../../app/scope'
import { SeverityCounts } from '../../parts/Severity'
import { useFormat } from '../../text/format'

// Recent says what is new and what was fixed since yesterday, and which exceptions need somebody.
export function Recent({ overview, scope }: { overview: Schemas['OverviewBody']; scope: Scope }) {
  const { t } = useTranslation('overview')
  const { number } = useFormat()
  const news = overview.new
  const sum = Object.values(news.new ?? {}).reduce((a, b) => a + b, 0)
  const more = news.atLeast ? '+' : ''
  const e = overview.exceptions
  return (
    <dl className={css.facts}>
      <dt>{t('newFindings')}</dt>
      <dd>
        <div className={css.big}>{sum === 0 ? '0' : <To target={recent(scope, news.since)} label={t('newCount', { count: sum, number: number(sum) + more })}>{number(sum) + more}</To>}</div>
        {sum > 0 && <SeverityCounts counts={news.new} link={(s) => recent(scope, news.since, s)} />}
      </dd>
      <dt>{t('fixedFindings')}</dt>
      <dd className={css.big}>{news.fixed === 0 ? '0' : <To target={fixed(scope, news.since)} label={t('fixedCount', { count: news.fixed, number: number(news.fixed) })}>{number(news.fixed) + more}</To>}</dd>
      <dt>{t('exceptions')}</dt>
      <dd>
        <ul className={css.plain}>
          <li>{e.pending === 0 ? t('noPending') : <To target={{ to: '/exceptions', search: { ...searchOf(scope), status: 'pending' } }}>{t('pending', { count: e.pending, number: number(e.pending) })}</To>}</li>
          <li>{e.ending === 0 ? t('noEnding') : <To target={{ to: '/exceptions', search: { ...searchOf(scope), status: 'approved', sort: 'expires' } }}>{t('ending', { count: e.ending, number: number(e.ending) })}</To>}</li>
          <li>
            {e.accepted === 0 ? (
              t('noAccepted')
            ) : (
              <To target={{ to: '/risks', search: { view: 'findings', status: 'accepted', ...searchOf(scope), ...(scope.namespace.length > 0 ? { withImages: 'true' } : {}) } }}>
                {t('accepted', { count: e.accepted, number: number(e.accepted) })}
              </To>
            )}
          </li>
        </ul>
      </dd>
    </dl>
  )
}
