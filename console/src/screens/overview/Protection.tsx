import { Skeleton } from 'antd'
import { useTranslation } from 'react-i18next'

import css from './overview.module.css'
import { To } from './To'
import { api } from '../../api/client'
import { numbers, searchOf, type Scope } from '../../app/scope'
import { useFormat } from '../../text/format'

const standing = ['protected', 'no-policy', 'policy-failed']

// dayAgo is the begin of the hour that the counts of the last day begin with.
const dayAgo = (hours: { at: string }[]) => hours[0]?.at ?? new Date(Date.now() - 86_400_000).toISOString()

// Protection says how much of what enters the clusters is checked.
export function Protection({ scope }: { scope: Scope }) {
  const { t } = useTranslation('overview')
  const { number } = useFormat()
  const target = numbers(scope.target)
  const clusters = api.useQuery('get', '/api/v1/protection', { params: { query: { limit: 500 } } }, { staleTime: 30_000, retry: false })
  const events = api.useQuery('get', '/api/v1/admission-events/summary', { params: { query: { target } } }, { staleTime: 30_000, retry: false })
  const nodes = api.useQuery('get', '/api/v1/nodes/counts', { params: { query: { target } } }, { staleTime: 30_000, retry: false })
  if (clusters.isPending || events.isPending || nodes.isPending) return <Skeleton active title={false} paragraph={{ rows: 2, width: '100%' }} />
  const list = (clusters.data?.items ?? []).filter((c) => scope.target.length === 0 || scope.target.includes(c.id))
  const on = list.filter((c) => standing.includes(c.state)).length
  const wrong = list.filter((c) => ['error', 'policy-failed', 'remove-failed'].includes(c.state)).length
  const day = events.data?.day ?? []
  const blocked = day.reduce((n, h) => n + h.blocked, 0)
  const unchecked = (events.data?.unchecked?.found ?? 0) + (events.data?.unchecked?.bad ?? 0)
  const search = searchOf({ target: scope.target, namespace: [] })
  const n = nodes.data
  const lives = n ? n.protected + n.paused + n.degraded : 0
  const able = n ? lives + n.away + n.never : 0
  return (
    <dl className={css.protection}>
      <div>
        <dt>{t('protectedNodes')}</dt>
        <dd className={css.big}>{n ? <To target={{ to: '/assets/nodes', search: { ...search, state: 'protected,paused,degraded' } }}>{t('ofAll', { some: number(lives), all: number(able) })}</To> : '–'}</dd>
        {!!n?.away && (
          <dd>
            <To target={{ to: '/assets/nodes', search: { ...search, state: 'away' } }} className={css.critical}>
              {t('nodesAway', { count: n.away, number: number(n.away) })}
            </To>
          </dd>
        )}
        {lives === 0 && <dd className={css.soft}>{t('noAgents')}</dd>}
      </div>
      <div>
        <dt>{t('protectedClusters')}</dt>
        <dd className={css.big}>
          <To target={{ to: '/protection/clusters', search: {} }}>{t('ofAll', { some: number(on), all: number(list.length) })}</To>
        </dd>
        {wrong > 0 && <dd className={css.critical}>{t('protectionWrong', { count: wrong, number: number(wrong) })}</dd>}
        {on === 0 && <dd className={css.soft}>{t('nothingChecked')}</dd>}
      </div>
      <div>
        <dt>{t('blockedDay')}</dt>
        <dd className={css.big}>
          <To target={{ to: '/protection/events', search: { ...search, kind: 'blocked', since: dayAgo(day), state: 'all' } }}>{on === 0 && blocked === 0 ? '–' : number(blocked)}</To>
        </dd>
      </div>
      <div>
        <dt>{t('unhandledEvents')}</dt>
        <dd className={css.big}>
          <To target={{ to: '/protection/events', search }}>{number(events.data?.unhandled ?? 0)}</To>
        </dd>
      </div>
      <div>
        <dt>{t('uncheckedAdmissions')}</dt>
        <dd className={css.big}>
          <To target={{ to: '/protection/unchecked', search: { ...search, state: 'found,bad' } }}>{on === 0 && unchecked === 0 ? '–' : number(unchecked)}</To>
        </dd>
      </div>
    </dl>
  )
}
