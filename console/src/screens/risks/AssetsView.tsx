import { Link, useNavigate } from '@tanstack/react-router'
import { Segmented } from 'antd'
import { useTranslation } from 'react-i18next'

import { assetKindOf, assetKinds, queryOf, searchOf, type AssetKind, type Filter } from './filter'
import { assetLink } from './links'
import { Nothing } from './Nothing'
import { flipped } from './sorts'
import { api, type Schemas } from '../../api/client'
import { useAppearance } from '../../app/appearance'
import { DataTable, paging, type Column } from '../../parts/DataTable'
import { SeverityCounts } from '../../parts/Severity'
import { When } from '../../parts/When'
import { useUrl, type Search } from '../../parts/search'
import { useFormat } from '../../text/format'

type Asset = Schemas['Asset']

// findingsOf is the list that an asset's numbers count.
function findingsOf(filter: Filter, a: Asset, severity?: string): Record<string, string> {
  const rest = { ...searchOf(filter), ...(severity ? { severity } : {}), view: 'findings' }
  if (a.kind === 'cluster') return { ...rest, target: a.targetId }
  if (a.kind === 'namespace') return { ...rest, target: a.targetId, namespace: a.name }
  return { ...rest, target: a.targetId, asset: a.id }
}

// AssetsView lists where something is wrong, with the findings of the filter on each.
export function AssetsView({ filter, search }: { filter: Filter; search: Search }) {
  const { t } = useTranslation(['risks', 'words'])
  const { number } = useFormat()
  const [, setUrl] = useUrl()
  const navigate = useNavigate()
  const { narrow } = useAppearance()
  const by = assetKindOf(search)
  const sort = (search.sort ?? 'score') as 'score'
  const query = api.useInfiniteQuery('get', '/api/v1/findings/assets', { params: { query: { ...queryOf(filter), by, sort, limit: 100 } } }, paging)
  const total = (a: Asset) => a.critical + a.high + a.medium + a.low + a.info
  const placed = by === 'workload' || by === 'namespace'
  const columns: Column<Asset>[] = [
    {
      key: 'name',
      title: t(`words:asset.${by}`),
      width: narrow ? 150 : 220,
      sort: 'name',
      render: (a) => {
        const to = assetLink(a)
        return to ? (
          <Link to={to} title={a.name}>
            {a.name}
          </Link>
        ) : (
          <span title={a.name}>{a.name}</span>
        )
      },
    },
    {
      key: 'severities',
      title: t('col.severities'),
      width: 220,
      sort: 'score', down: true,
      render: (a) => (
        <SeverityCounts counts={{ critical: a.critical, high: a.high, medium: a.medium, low: a.low, info: a.info }} link={(s) => ({ to: '/risks', search: findingsOf(filter, a, s) })} />
      ),
    },
    {
      key: 'all',
      title: t('col.findings'),
      width: 110,
      align: 'right',
      render: (a) => (
        <Link to="/risks" search={findingsOf(filter, a)}>
          {(a.atLeast ? '≥\u2009' : '') + number(total(a))}
        </Link>
      ),
    },
    ...(by === 'workload' ? [{ key: 'groupKind', title: t('col.objectKind'), width: 110, render: (a: Asset) => (a.groupKind ?? '').split('.')[0] }] : []),
    ...(placed && by !== 'namespace' ? [{ key: 'namespace', title: t('words:asset.namespace'), width: 120, sort: 'namespace', render: (a: Asset) => a.namespace }] : []),
    ...(by !== 'cluster' ? [{ key: 'cluster', title: by === 'file' ? t('words:asset.project') : t('words:asset.cluster'), width: 120, sort: 'cluster', render: (a: Asset) => a.target }] : []),
    { key: 'firstSeen', title: t('col.firstSeen'), width: 120, hidden: true, render: (a) => <When at={a.firstSeen} /> },
    { key: 'lookedAt', title: t('col.lookedAt'), width: 120, render: (a) => <When at={a.lookedAt} /> },
  ]
  return (
    <>
      <Segmented<AssetKind> aria-label={t('by')} value={by} options={assetKinds.map((k) => ({ value: k, label: t(`words:asset.${k}`) }))} onChange={(k) => setUrl({ by: k, sort: undefined })} style={{ alignSelf: 'flex-start', maxWidth: '100%', overflowX: 'auto' }} />
      <DataTable
        key={by}
        name={`risks.${by}`}
        label={t('views.assets')}
        query={query}
        columns={columns}
        rowKey={(a) => a.id}
        sort={flipped(sort)}
        onSort={(s) => setUrl({ sort: flipped(s) })}
        onOpen={(a) => void navigate({ to: '/risks', search: findingsOf(filter, a) })}
        empty={<Nothing filter={filter} />}
        height="max(380px, calc(100vh - 370px))"
      />
    </>
  )
}
