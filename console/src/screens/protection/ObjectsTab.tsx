import { Alert, Skeleton } from 'antd'
import { useTranslation } from 'react-i18next'

import { ObjectTree } from './ObjectTree'
import { Problems } from './Problems'
import { api } from '../../api/client'
import blocks from '../../parts/Blocks.module.css'
import { Problem } from '../../parts/Problem'

// ObjectsTab shows everything that protection has in a cluster, as YAML.
export default function ObjectsTab({ target }: { target: string }) {
  const { t } = useTranslation('protection')
  const query = api.useQuery('get', '/api/v1/protection/{target}/objects', { params: { path: { target: Number(target) } } })
  if (query.error) return <Problem error={query.error} retry={() => void query.refetch()} />
  if (!query.data) return <Skeleton active paragraph={{ rows: 10 }} />
  const waiting = (query.data.items ?? []).filter((o) => !o.appliedAt).length
  return (
    <div className={blocks.stack}>
      <p>{t('objectsHint')}</p>
      <Problems list={query.data.notes} />
      {waiting > 0 && <Alert type="warning" showIcon title={t('notApplied', { count: waiting })} />}
      <ObjectTree list={query.data.items ?? []} />
    </div>
  )
}
