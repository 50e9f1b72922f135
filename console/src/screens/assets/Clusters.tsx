import { PlusOutlined } from '@ant-design/icons'
import { Button, Select } from 'antd'
import { lazy, Suspense, useMemo } from 'react'
import { useTranslation } from 'react-i18next'

import { wayOf } from './ways'
import css from './assets.module.css'
import { clusterColumns } from './clusterColumns'
import type { Sum } from './shapes'
import { api } from '../../api/client'
import { useLive } from '../../app/live'
import { numbers, useScope } from '../../app/scope'
import { useMay, useProfile } from '../../app/session'
import { DataTable, paging } from '../../parts/DataTable'
import { EmptyState } from '../../parts/EmptyState'
import { Page } from '../../parts/Page'
import { SearchBox } from '../../parts/SearchBox'
import { useUrl } from '../../parts/search'

const AddCluster = lazy(() => import('./AddCluster'))
const states = ['connected', 'unreachable', 'refused', 'waiting', 'never'] as const
type State = (typeof states)[number]

// Clusters is the list of clusters with how each is reached and how it stands.
export default function Clusters() {
  const { t } = useTranslation('assets')
  const { t: word } = useTranslation('words')
  const [url, setUrl] = useUrl()
  const [scope] = useScope()
  const everywhere = useProfile().grants.some((g) => g.role === 'administrator' && (!g.targetId || g.targetId === '0'))
  const adds = useMay('manage-clusters') && everywhere
  useLive(['cluster', 'task'], ['/api/v1/clusters', '/api/v1/clusters/summary'])
  const state = states.find((s) => s === url.state)
  const query = api.useInfiniteQuery(
    'get',
    '/api/v1/clusters',
    { params: { query: { search: url.q || undefined, state, stale: url.stale === 'true' || undefined, target: numbers(scope.target), limit: 100 } } },
    paging,
  )
  const ids = useMemo(() => (query.data?.pages ?? []).flatMap((p) => (p.items ?? []).map((c) => Number(c.id))).slice(0, 500), [query.data])
  const summaries = api.useQuery('get', '/api/v1/clusters/summary', { params: { query: { target: ids } } }, { enabled: ids.length > 0, placeholderData: (old) => old })
  const columns = useMemo(() => {
    const sums = new Map<string, Sum>((summaries.data?.items ?? []).map((s) => [s.targetId, s]))
    return clusterColumns(t, word, sums)
  }, [summaries.data, t, word])
  const way = adds ? wayOf(url.add) : undefined
  const filtered = Boolean(url.q || state || url.stale || scope.target.length > 0)
  const add = adds && (
    <Button type="primary" icon={<PlusOutlined />} onClick={() => setUrl({ add: 'kubeconfig' })}>
      {t('addCluster')}
    </Button>
  )
  return (
    <Page title={t('clusters')} lead={t('clustersLead')} actions={add}>
      <div className={css.filters} role="search">
        <SearchBox label={t('searchClusters')} value={url.q ?? ''} onChange={(q) => setUrl({ q }, true)} />
        <Select
          allowClear
          aria-label={t('connection')}
          placeholder={t('anyState')}
          value={state ?? null}
          onChange={(s: State | null) => setUrl({ state: s })}
          options={states.map((s) => ({ value: s, label: t(`state.${s}`) }))}
          style={{ width: 180 }}
        />
        <Button type={url.stale === 'true' ? 'primary' : 'default'} aria-pressed={url.stale === 'true'} onClick={() => setUrl({ stale: url.stale !== 'true' })}>
          {t('onlyStale')}
        </Button>
      </div>
      <DataTable
        name="clusters"
        label={t('clusters')}
        query={query}
        columns={columns}
        rowKey={(c) => c.id}
        empty={filtered ? <EmptyState title={t('noneMatch')} hint={t('noneMatchHint')} /> : <EmptyState title={t('noClusters')} hint={adds ? t('noClustersHint') : t('askAdministrator')} action={add} />}
      />
      {way && (
        <Suspense>
          <AddCluster way={way} choose={(add) => setUrl({ add }, true)} onClose={() => setUrl({ add: '' })} />
        </Suspense>
      )}
    </Page>
  )
}
