import { PlusOutlined } from '@ant-design/icons'
import { Button } from 'antd'
import { lazy, Suspense, useMemo } from 'react'
import { useTranslation } from 'react-i18next'

import { columns } from './columns'
import { StateBar } from './StateBar'
import { states } from './shapes'
import { api } from '../../api/client'
import { useLive } from '../../app/live'
import { numbers, useScope } from '../../app/scope'
import { useMay } from '../../app/session'
import blocks from '../../parts/Blocks.module.css'
import { DataTable, paging } from '../../parts/DataTable'
import { EmptyState } from '../../parts/EmptyState'
import { Page } from '../../parts/Page'
import { SearchBox } from '../../parts/SearchBox'
import { listOf, useUrl } from '../../parts/search'

const Enrol = lazy(() => import('./Enrol'))

// Nodes is the list of nodes with their agents, and of those without one.
export default function Nodes() {
  const { t } = useTranslation('nodes')
  const [url, setUrl] = useUrl()
  const [scope] = useScope()
  const may = useMay('manage-clusters')
  useLive(['node', 'task', 'cluster'], ['/api/v1/nodes', '/api/v1/nodes/counts'])
  const chosen = states.filter((s) => listOf(url.state).includes(s))
  const target = numbers(scope.target)
  const query = api.useInfiniteQuery('get', '/api/v1/nodes', { params: { query: { target, state: chosen.length > 0 ? chosen : undefined, q: url.q || undefined, limit: 100 } } }, paging)
  const list = useMemo(() => columns(t), [t])
  const filtered = Boolean(url.q || chosen.length > 0)
  const enrol = may && (
    <Button type="primary" icon={<PlusOutlined />} onClick={() => setUrl({ enrol: scope.target.length === 1 ? scope.target[0] : 'choose' })}>
      {t('enrol')}
    </Button>
  )
  return (
    <Page title={t('nodes')} lead={t('lead')} actions={enrol}>
      <div className={blocks.stack}>
        <StateBar target={target} chosen={chosen} choose={(state) => setUrl({ state })} />
        <div className={blocks.row} role="search">
          <SearchBox label={t('search')} value={url.q ?? ''} onChange={(q) => setUrl({ q }, true)} />
        </div>
      </div>
      <DataTable
        name="agents"
        label={t('nodes')}
        query={query}
        columns={list}
        rowKey={(n) => n.id}
        empty={filtered ? <EmptyState title={t('noneMatch')} hint={t('noneMatchHint')} /> : <EmptyState title={t('none')} hint={t('noneHint')} action={enrol} />}
      />
      {url.enrol && may && (
        <Suspense>
          <Enrol cluster={url.enrol === 'choose' ? '' : url.enrol} choose={(id) => setUrl({ enrol: id }, true)} onClose={() => setUrl({ enrol: '' })} />
        </Suspense>
      )}
    </Page>
  )
}
