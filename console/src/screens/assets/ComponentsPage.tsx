import { Link } from '@tanstack/react-router'
import { Select, Skeleton } from 'antd'
import { useTranslation } from 'react-i18next'

import { Components } from './Components'
import { api } from '../../api/client'
import { useScope } from '../../app/scope'
import { EmptyState } from '../../parts/EmptyState'
import { Page } from '../../parts/Page'
import { Problem } from '../../parts/Problem'
import { useUrl } from '../../parts/search'

// ComponentsPage shows the core components of one cluster: that of the scope, or the one that is chosen.
export default function ComponentsPage() {
  const { t } = useTranslation('images')
  const [search, set] = useUrl()
  const [scope] = useScope()
  const query = api.useQuery('get', '/api/v1/clusters', { params: { query: { limit: 500 } } })
  const all = (query.data?.items ?? []).filter((c) => scope.target.length === 0 || scope.target.includes(c.id))
  const chosen = all.find((c) => c.id === search.cluster)?.id ?? all[0]?.id
  return (
    <Page
      title={t('components.title')}
      lead={t('components.lead')}
      actions={
        all.length > 1 && (
          <Select
            aria-label={t('components.cluster')}
            value={chosen}
            options={all.map((c) => ({ value: c.id, label: c.name }))}
            onChange={(id) => set({ cluster: id })}
            showSearch={{ optionFilterProp: 'label' }}
            style={{ minWidth: 220 }}
          />
        )
      }
    >
      {query.error ? <Problem error={query.error} retry={() => void query.refetch()} /> : null}
      {query.isPending && <Skeleton active paragraph={{ rows: 14 }} />}
      {query.data && !chosen && <EmptyState title={t('components.noCluster')} hint={t('components.noClusterHint')} action={<Link to="/assets/clusters">{t('components.addCluster')}</Link>} />}
      {chosen && <Components target={chosen} />}
    </Page>
  )
}
