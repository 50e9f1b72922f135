import { useNavigate } from '@tanstack/react-router'
import { Select } from 'antd'
import { useMemo } from 'react'
import { useTranslation } from 'react-i18next'

import css from './images.module.css'
import { pinned } from './model'
import { useIdleColumns, type IdleRow, type Verdict } from './useIdleColumns'
import { api } from '../../api/client'
import { useLive } from '../../app/live'
import { DataTable, paging } from '../../parts/DataTable'
import { EmptyState } from '../../parts/EmptyState'
import { useUrl } from '../../parts/search'

// Idle lists images that were scanned and run nowhere, such as those that a policy refused, with what a cluster's policies say of each.
export default function Idle() {
  const { t } = useTranslation('images')
  const [url, set] = useUrl()
  const navigate = useNavigate()
  const query = api.useInfiniteQuery('get', '/api/v1/idle-images', { params: { query: { limit: 100 } } }, paging)
  useLive(['task', 'policies'], ['/api/v1/idle-images', '/api/v1/image-verdicts'])
  const clusters = api.useQuery('get', '/api/v1/protection', { params: { query: { limit: 200 } } }, { staleTime: 60_000 })
  const protectedOnes = (clusters.data?.items ?? []).filter((c) => ['protected', 'no-policy', 'policy-failed'].includes(c.state))
  const cluster = protectedOnes.find((c) => c.id === url.cluster) ?? protectedOnes[0]
  const references = useMemo(() => (query.data?.pages ?? []).flatMap((p) => p.items ?? []).map(pinned), [query.data])
  const verdicts = useVerdicts(cluster?.id, references)
  const columns = useIdleColumns(cluster?.name, verdicts)
  return (
    <>
      {protectedOnes.length > 1 && (
        <div className={css.filters}>
          <label htmlFor="idle-cluster">{t('idle.policiesOf')}</label>
          <Select id="idle-cluster" value={cluster?.id} onChange={(v: string) => set({ cluster: v })} options={protectedOnes.map((c) => ({ value: c.id, label: c.name }))} showSearch={{ optionFilterProp: 'label' }} style={{ minWidth: 200 }} />
        </div>
      )}
      <DataTable
        name="idle-images"
        label={t('idle.title')}
        query={query}
        columns={columns}
        rowKey={(row: IdleRow) => row.digest}
        rowHeight={56}
        onOpen={(row) => void navigate({ to: '/images/$digest', params: { digest: row.digest } })}
        empty={<EmptyState title={t('idle.empty')} hint={t('idle.emptyHint')} />}
      />
    </>
  )
}

const most = 500

// useVerdicts asks what the policies of a cluster say of images: of those that were loaded last, when there are very many.
function useVerdicts(cluster: string | undefined, references: string[]): ReadonlyMap<string, Verdict> {
  const asked = references.slice(-most)
  const answer = api.useQuery('post', '/api/v1/image-verdicts', { body: { target: cluster ?? '', references: asked } }, { enabled: !!cluster && asked.length > 0, staleTime: 30_000, retry: false, placeholderData: (old) => old })
  return useMemo(() => new Map((answer.data?.items ?? []).map((v) => [v.reference, v])), [answer.data])
}
