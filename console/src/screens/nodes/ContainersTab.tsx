import { Skeleton } from 'antd'
import { useMemo } from 'react'
import { useTranslation } from 'react-i18next'

import { ContainerDetail } from './ContainerDetail'
import { containerName, containersUnread, signsOf } from './facts'
import type { Container, Details } from './shapes'
import { Signs } from './Signs'
import { useFacts } from './useFacts'
import { api, Failed } from '../../api/client'
import blocks from '../../parts/Blocks.module.css'
import { DataTable, paging, type Column } from '../../parts/DataTable'
import { EmptyState } from '../../parts/EmptyState'
import { Problem } from '../../parts/Problem'
import { SearchBox } from '../../parts/SearchBox'
import { SlideOver } from '../../parts/SlideOver'
import { useUrl } from '../../parts/search'
import { When } from '../../parts/When'
import { missing, useFormat } from '../../text/format'

// ContainersTab lists the containers that run on a node, as its runtime and its kernel show them.
export default function ContainersTab({ node: n }: { node: Details }) {
  const { t } = useTranslation('nodes')
  const { number } = useFormat()
  const [url, setUrl] = useUrl()
  const known = !missing(n.factsAt)
  const facts = useFacts(n)
  const query = api.useInfiniteQuery('get', '/api/v1/nodes/{id}/containers', { params: { path: { id: Number(n.id) }, query: { q: url.q || undefined, limit: 100 } } }, { ...paging, enabled: known })
  const columns = useMemo<Column<Container>[]>(
    () => [
      { key: 'name', title: t('container'), width: 240, render: (c) => <strong title={containerName(c)}>{containerName(c)}</strong> },
      { key: 'signs', title: t('signs'), width: 345, render: (c) => <Signs list={signsOf(c)} most={3} /> },
      { key: 'image', title: t('image'), width: 240, render: (c) => <span title={c.digest}>{c.image || c.imageId || '–'}</span> },
      { key: 'processes', title: t('processes'), width: 100, align: 'right', render: (c) => number((c.processes ?? []).length) },
      { key: 'drift', title: t('drift'), width: 90, align: 'right', render: (c) => number((c.drift ?? []).length) },
      { key: 'runtime', title: t('runtime'), width: 120, hidden: true, render: (c) => [c.runtime, c.handler].filter(Boolean).join(' · ') || '–' },
    ],
    [t, number],
  )
  const rows = (query.data?.pages ?? []).flatMap((p) => p.items ?? [])
  const open = rows.find((c) => c.id === url.open)
  const gone = query.error instanceof Failed && query.error.status === 404
  if (!known || gone) return <EmptyState title={t('noFacts')} hint={t(`todo.${n.state === 'protected' ? 'waiting' : n.state}`)} />
  const blind = containersUnread(n.needs, facts.data?.skipped ?? [])
  const none = blind ? <EmptyState title={t('containersUnread')} /> : <EmptyState title={t('noContainers')} />
  return (
    <div className={blocks.stack}>
      <p className="text-soft">
        {t('containersLead')} {t('readAt')} <When at={n.factsAt} />
      </p>
      {blind && <p className={blocks.warn}>{t('containersBlind')}</p>}
      <div className={blocks.row} role="search">
        <SearchBox label={t('searchContainers')} value={url.q ?? ''} onChange={(q) => setUrl({ q }, true)} />
      </div>
      <DataTable
        name="node-containers"
        label={t('containers')}
        query={query}
        columns={columns}
        rowKey={(c) => c.id}
        onOpen={(c) => setUrl({ open: c.id })}
        open={url.open}
        height="calc(100vh - 380px)"
        empty={url.q ? <EmptyState title={t('noneMatch')} hint={t('noneMatchHint')} /> : facts.error ? <Problem error={facts.error} retry={() => void facts.refetch()} /> : facts.data ? none : <Skeleton active title={false} />}
      />
      <SlideOver open={Boolean(open)} onClose={() => setUrl({ open: '' })} title={open ? containerName(open) : ''}>
        {open && <ContainerDetail container={open} node={n} />}
      </SlideOver>
    </div>
  )
}
