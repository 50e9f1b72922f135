import { Link } from '@tanstack/react-router'
import { Button, Select } from 'antd'
import { lazy, Suspense } from 'react'
import { useTranslation } from 'react-i18next'

import { states, type State } from './shapes'
import { useClusterColumns } from './useClusterColumns'
import { api } from '../../api/client'
import { useLive } from '../../app/live'
import blocks from '../../parts/Blocks.module.css'
import { DataTable, paging } from '../../parts/DataTable'
import { EmptyState } from '../../parts/EmptyState'
import { Page } from '../../parts/Page'
import { SearchBox } from '../../parts/SearchBox'
import { useUrl } from '../../parts/search'

const EnableDialog = lazy(() => import('./EnableDialog'))
const DisableDialog = lazy(() => import('./DisableDialog'))

// Clusters is the list of clusters with how each is protected.
export default function Clusters() {
  const { t } = useTranslation('protection')
  const [url, setUrl] = useUrl()
  useLive(['protection', 'policies', 'cluster'], ['/api/v1/protection', '/api/v1/protection/{target}'])
  const state = states.find((s) => s === url.state)
  const query = api.useInfiniteQuery('get', '/api/v1/protection', { params: { query: { search: url.q || undefined, state, limit: 100 } } }, paging)
  const rows = (query.data?.pages ?? []).flatMap((p) => p.items ?? [])
  const columns = useClusterColumns({ enable: (id) => setUrl({ enable: id }), disable: (id) => setUrl({ disable: id }) })
  const name = (id: string) => rows.find((c) => c.id === id)?.name ?? ''
  const filtered = !!(url.q || state)
  return (
    <Page title={t('clusters')} lead={t('clustersLead')}>
      <div className={blocks.row} role="search">
        <SearchBox label={t('searchClusters')} value={url.q ?? ''} onChange={(q) => setUrl({ q }, true)} />
        <Select allowClear aria-label={t('col.state')} placeholder={t('anyState')} value={state ?? null} onChange={(s: State | null) => setUrl({ state: s })} options={states.map((s) => ({ value: s, label: t(`state.${s}`) }))} style={{ width: 240 }} />
      </div>
      <DataTable
        name="protection"
        label={t('clusters')}
        query={query}
        columns={columns}
        rowKey={(c) => c.id}
        empty={
          filtered ? (
            <EmptyState title={t('noMatch')} action={<Button onClick={() => setUrl({ q: '', state: '' })}>{t('clear')}</Button>} />
          ) : (
            <EmptyState
              title={t('noClusters')}
              hint={t('noClustersHint')}
              action={
                <Link to="/assets/clusters">
                  <Button type="primary" tabIndex={-1}>
                    {t('toClusters')}
                  </Button>
                </Link>
              }
            />
          )
        }
      />
      <Suspense>
        {url.enable && <EnableDialog key={url.enable} target={url.enable} name={name(url.enable)} close={() => setUrl({ enable: '' })} />}
        {url.disable && <DisableDialog key={url.disable} target={url.disable} name={name(url.disable)} close={() => setUrl({ disable: '' })} />}
      </Suspense>
    </Page>
  )
}
