import { Link } from '@tanstack/react-router'
import { Button, Select, Skeleton } from 'antd'
import { useTranslation } from 'react-i18next'

import HealthView from './HealthView'
import { on } from './shapes'
import { StateTag } from './StateTag'
import { api } from '../../api/client'
import { useLive } from '../../app/live'
import blocks from '../../parts/Blocks.module.css'
import { EmptyState } from '../../parts/EmptyState'
import { Page } from '../../parts/Page'
import { Problem } from '../../parts/Problem'
import { useUrl } from '../../parts/search'

// HealthPage shows how the protection of one cluster does; which one stands in the URL.
export default function HealthPage() {
  const { t } = useTranslation('protection')
  const [url, setUrl] = useUrl()
  useLive(['protection'], ['/api/v1/protection', '/api/v1/protection/{target}/health'])
  const query = api.useQuery('get', '/api/v1/protection', { params: { query: { limit: 500 } } })
  const list = (query.data?.items ?? []).filter((c) => on(c.state) || c.state === 'removing' || c.state === 'remove-failed')
  const chosen = list.find((c) => c.id === url.cluster) ?? list.find((c) => c.state !== 'protected') ?? list[0]
  return (
    <Page title={t('health.title')} lead={t('health.lead')}>
      {query.error ? (
        <Problem error={query.error} retry={() => void query.refetch()} />
      ) : !query.data ? (
        <Skeleton active paragraph={{ rows: 12 }} />
      ) : !chosen ? (
        <EmptyState
          title={t('noProtected')}
          hint={t('noProtectedHint')}
          action={
            <Link to="/protection/clusters">
              <Button type="primary" tabIndex={-1}>
                {t('clusters')}
              </Button>
            </Link>
          }
        />
      ) : (
        <>
          <div className={blocks.row}>
            <label htmlFor="health-cluster">{t('cluster')}</label>
            <Select id="health-cluster" value={chosen.id} onChange={(cluster: string) => setUrl({ cluster })} options={list.map((c) => ({ value: c.id, label: c.name }))} showSearch={{ optionFilterProp: 'label' }} style={{ minWidth: 220 }} />
            <StateTag state={chosen.state} reason={chosen.reason} />
            <Link to="/protection/clusters/$id" params={{ id: chosen.id }}>
              {t('toCluster')}
            </Link>
          </div>
          <HealthView key={chosen.id} target={chosen.id} />
        </>
      )}
    </Page>
  )
}
