import { Link } from '@tanstack/react-router'
import { Button } from 'antd'
import { useMemo } from 'react'
import { useTranslation } from 'react-i18next'

import css from './assets.module.css'
import type { Asset } from './shapes'
import { api } from '../../api/client'
import { useLive } from '../../app/live'
import { numbers, useScope, type Scope } from '../../app/scope'
import { DataTable, paging, type Column } from '../../parts/DataTable'
import { EmptyState } from '../../parts/EmptyState'
import { SearchBox } from '../../parts/SearchBox'
import { useUrl } from '../../parts/search'
import { SeverityCounts } from '../../parts/Severity'
import { When } from '../../parts/When'
import { missing } from '../../text/format'

export type Kind = 'namespace' | 'workload' | 'node'

// findingsOf is the list of findings that an asset counts.
export function findingsOf(a: Asset, filter: Record<string, string> = {}): { to: string; search: Record<string, string> } {
  const where: Record<string, string> = a.kind === 'namespace' ? { target: a.targetId, namespace: a.name, withImages: 'true' } : { asset: a.id }
  return { to: '/risks', search: { view: 'findings', ...where, ...filter } }
}

export function Findings({ of }: { of: Asset }) {
  const { t } = useTranslation('assets')
  const counts = { critical: of.critical, high: of.high, medium: of.medium, low: of.low, info: of.info }
  const none = Object.values(counts).every((n) => n === 0)
  if (none && missing(of.lookedAt)) return <span className={css.soft}>{t('notLookedAt')}</span>
  return <SeverityCounts counts={counts} link={(severity) => findingsOf(of, { severity })} />
}

const sorts = ['score', '-score', 'name', '-name', 'namespace', '-namespace', 'cluster', '-cluster'] as const

// AssetTable lists assets of one kind. Search, order and whether only risky ones are shown stand in the URL.
export function AssetTable({ kind, within, height }: { kind: Kind; within?: Scope; height?: string }) {
  const { t } = useTranslation('assets')
  const [url, setUrl] = useUrl()
  const [scope] = useScope()
  const place = within ?? scope
  useLive(['task'], ['/api/v1/assets'])
  const sort = sorts.find((s) => s === url.sort) ?? 'score'
  const risky = url.risky === 'true'
  const query = api.useInfiniteQuery(
    'get',
    '/api/v1/assets',
    {
      params: {
        query: {
          kind,
          sort,
          target: numbers(place.target),
          namespace: place.namespace.length > 0 ? place.namespace : undefined,
          q: url.q || undefined,
          risky: risky || undefined,
          limit: 100,
        },
      },
    },
    paging,
  )
  const columns = useMemo<Column<Asset>[]>(() => {
    const all: Column<Asset>[] = [
      {
        key: 'name',
        title: t('name'),
        width: 220,
        sort: 'name',
        render: (a) => (
          <Link to={`/assets/${kind}s/$id`} params={{ id: a.id }} className={css.strong}>
            {a.name}
          </Link>
        ),
      },
      { key: 'findings', title: t('columns.findings'), width: 245, sort: 'score', render: (a) => <Findings of={a} /> },
      { key: 'groupKind', title: t('kind'), width: 150, render: (a) => (a.groupKind ?? '').split('.')[0] },
      { key: 'namespace', title: t('namespace'), width: 170, sort: 'namespace', render: (a) => a.namespace },
      {
        key: 'cluster',
        title: t('cluster'),
        width: 170,
        sort: 'cluster',
        render: (a) => (
          <Link to="/clusters/$id" params={{ id: a.targetId }}>
            {a.target}
          </Link>
        ),
      },
      { key: 'first', title: t('columns.first'), width: 130, hidden: true, render: (a) => <When at={a.firstSeen} /> },
      { key: 'looked', title: t('columns.looked'), width: 130, render: (a) => <When at={a.lookedAt} /> },
    ]
    return all.filter((c) => (c.key !== 'groupKind' || kind === 'workload') && (c.key !== 'namespace' || kind === 'workload'))
  }, [t, kind])
  const filtered = Boolean(url.q || risky)
  return (
    <>
      <div className={css.filters} role="search">
        <SearchBox label={t(`search.${kind}`)} value={url.q ?? ''} onChange={(q) => setUrl({ q }, true)} />
        <Button type={risky ? 'primary' : 'default'} aria-pressed={risky} onClick={() => setUrl({ risky: !risky })}>
          {t('onlyRisky')}
        </Button>
      </div>
      <DataTable
        name={`${kind}s`}
        label={t(`lists.${kind}`)}
        query={query}
        columns={columns}
        rowKey={(a) => a.id}
        sort={sort}
        onSort={(s) => setUrl({ sort: s === 'score' ? '' : s })}
        height={height}
        empty={filtered ? <EmptyState title={t('noneMatch')} hint={t('noneMatchHint')} /> : <EmptyState title={t(`none.${kind}`)} hint={t('noneHint')} />}
      />
    </>
  )
}
