import { Link } from '@tanstack/react-router'
import { Alert, Skeleton } from 'antd'
import { useTranslation } from 'react-i18next'

import css from './assets.module.css'
import { Facts } from './Facts'
import type { Details } from './shapes'
import { api } from '../../api/client'
import { Panel } from '../../parts/Page'
import { When } from '../../parts/When'
import { bytes, missing, useFormat } from '../../text/format'
import { Kinds } from '../overview/Kinds'
import { grade } from '../overview/Score'

function Connection({ cluster }: { cluster: Details }) {
  const { t } = useTranslation('assets')
  const { number } = useFormat()
  const use = cluster.use ?? []
  const requests = use.reduce((n, u) => n + u.requests, 0)
  const received = use.reduce((n, u) => n + u.received, 0)
  return (
    <Panel title={t('connection')} className={css.third}>
      <Facts
        items={[
          { label: t('reachedBy'), value: t(`kinds.${cluster.kind}`) },
          { label: t('server'), value: cluster.server && <code className={css.anywhere}>{cluster.server}</code> },
          { label: t('stateSince'), value: <When at={cluster.stateAt} /> },
          { label: t('columns.contact'), value: cluster.kind !== 'snapshot' && <When at={cluster.contactAt} /> },
          { label: t('lastDay'), value: requests > 0 && t('useOf', { count: requests, number: number(requests), size: bytes(received) }) },
          { label: t('added'), value: <When at={cluster.createdAt} /> },
        ]}
      />
    </Panel>
  )
}

// ClusterOverview is the first tab of a cluster: connection, score, what there is, findings by kind.
export function ClusterOverview({ cluster }: { cluster: Details }) {
  const { t } = useTranslation('assets')
  const { number, percent } = useFormat()
  const target = Number(cluster.id)
  const overview = api.useQuery('get', '/api/v1/overview', { params: { query: { target: [target] } } })
  const sums = api.useQuery('get', '/api/v1/clusters/summary', { params: { query: { target: [target] } } })
  const sum = sums.data?.items?.[0]
  const assets = sum?.assets ?? {}
  const never = missing(cluster.lookedAt)
  const inside = [
    { key: 'namespace', to: '/assets/namespaces' },
    { key: 'workload', to: '/assets/workloads' },
    { key: 'image', to: '/images' },
    { key: 'node', to: '/assets/nodes' },
  ] as const
  return (
    <div className={css.grid}>
      {cluster.reason && cluster.state !== 'connected' && (
        <div className={css.whole}>
          <Alert type={cluster.state === 'waiting' || cluster.state === 'never' ? 'info' : 'error'} showIcon title={t(`stateHint.${cluster.state}`)} description={cluster.reason} />
        </div>
      )}
      {never && (
        <div className={css.whole}>
          <Alert type="warning" showIcon title={t('neverLooked')} description={t('neverLookedHint')} />
        </div>
      )}
      <Connection cluster={cluster} />
      <Panel title={t('inside')} className={css.third}>
        {!sum ? (
          <Skeleton active title={false} paragraph={{ rows: 5 }} />
        ) : (
          <Facts
            items={[
              {
                label: t('columns.score'),
                value: (
                  <Link to="/" search={{ target: cluster.id }} className={css[`grade-${grade(sum.score)}`]} aria-label={t('scoreOf', { score: sum.score })}>
                    {sum.score}
                  </Link>
                ),
              },
              ...(sum.whole
                ? inside.map((i) => ({
                    label: t(`lists.${i.key}`),
                    value: (
                      <Link to={i.to} search={{ target: cluster.id }} aria-label={`${t(`lists.${i.key}`)}: ${number(assets[i.key] ?? 0)}`}>
                        {number(assets[i.key] ?? 0)}
                      </Link>
                    ),
                  }))
                : [{ label: t('inside'), value: t('partOnly') }]),
              { label: t('protectedNodes'), value: <Link to="/assets/nodes" search={{ target: cluster.id }}>{t('protectedOf', { protected: number(cluster.protectedNodes), nodes: number(cluster.nodes) })}</Link> },
            ]}
          />
        )}
      </Panel>
      <Panel title={t('compliance')} className={css.third}>
        {(overview.data?.compliance ?? []).length === 0 ? (
          <p className={css.soft}>{t('noCompliance')}</p>
        ) : (
          <ul className={css.list}>
            {(overview.data?.compliance ?? []).map((f) => (
              <li key={f.framework}>
                <Link to="/compliance/$framework" params={{ framework: f.framework }} search={{ target: cluster.id }}>
                  {f.framework}
                </Link>
                <span>{f.score < 0 ? '–' : percent(f.score / 100)}</span>
              </li>
            ))}
          </ul>
        )}
      </Panel>
      <Panel title={t('findingsByKind')} className={css.whole}>
        {overview.data ? <Kinds counts={overview.data.kinds} link={(filter) => ({ to: '/risks', search: { view: 'findings', target: cluster.id, ...filter } })} /> : <Skeleton active title={false} paragraph={{ rows: 10 }} />}
      </Panel>
    </div>
  )
}
