import { Select, Skeleton } from 'antd'
import { useTranslation } from 'react-i18next'

import type { Kept } from './shapes'
import { useClusters } from './useClusters'
import { api } from '../../api/client'
import blocks from '../../parts/Blocks.module.css'
import { CodeView } from '../../parts/CodeView'
import { Copy } from '../../parts/Copy'
import { Problem } from '../../parts/Problem'
import { useUrl } from '../../parts/search'

// ObjectsTab shows the objects that a policy becomes in a cluster.
export default function ObjectsTab({ policy: p }: { policy: Kept }) {
  const { t } = useTranslation('policies')
  const [url, setUrl] = useUrl()
  const clusters = useClusters()
  const mine = p.scope?.clusters?.map(String)
  const offered = clusters.list.filter((c) => !mine || mine.length === 0 || mine.includes(c.id))
  const target = offered.some((c) => c.id === url.cluster) ? Number(url.cluster) : undefined
  const query = api.useQuery('get', '/api/v1/policies/{id}/yaml', { params: { path: { id: Number(p.id) }, query: { target } }, parseAs: 'text' }, { retry: false })
  const text = query.data as unknown as string | undefined
  return (
    <div className={blocks.stack}>
      <p>{t('objects.hint')}</p>
      <div className={blocks.row}>
        <label htmlFor="objects-cluster">{t('objects.cluster')}</label>
        <Select id="objects-cluster" value={target === undefined ? '' : String(target)} options={[{ value: '', label: t('objects.usual') }, ...offered.map((c) => ({ value: c.id, label: c.name }))]} onChange={(c: string) => setUrl({ cluster: c })} style={{ minWidth: 200 }} />
        {text && <Copy text={text} label={t('objects.copy')} />}
      </div>
      {query.error ? <Problem error={query.error} retry={() => void query.refetch()} /> : query.isPending ? <Skeleton active paragraph={{ rows: 14 }} /> : <CodeView label={t('tabs.objects')} text={text ?? ''} height="calc(100vh - 320px)" />}
    </div>
  )
}
