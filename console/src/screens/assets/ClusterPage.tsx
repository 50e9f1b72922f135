import { useNavigate, useParams } from '@tanstack/react-router'
import { Button, Skeleton } from 'antd'
import { lazy, Suspense, type ReactNode } from 'react'
import { useTranslation } from 'react-i18next'

import { ClusterMenu } from './ClusterMenu'
import { ClusterOverview } from './ClusterOverview'
import { ClusterState } from './ClusterState'
import { useScanNow } from './useScanNow'
import { api } from '../../api/client'
import { useLive } from '../../app/live'
import { useMayOn } from '../../app/session'
import { Page } from '../../parts/Page'
import { Problem } from '../../parts/Problem'
import { useUrl } from '../../parts/search'
import { TabBar } from '../../parts/TabBar'
import { When } from '../../parts/When'

const Components = lazy(() => import('./Components').then((m) => ({ default: m.Components })))
const PermissionsTab = lazy(() => import('./PermissionsTab'))
const GapsTab = lazy(() => import('./GapsTab'))
const WatchTab = lazy(() => import('./WatchTab'))
const ScansTab = lazy(() => import('./ScansTab'))
const ConnectorTab = lazy(() => import('./ConnectorTab'))

// ClusterPage is one cluster; which tab is open stands in the URL.
export default function ClusterPage() {
  const { t } = useTranslation('assets')
  const { id = '' } = useParams({ strict: false })
  const navigate = useNavigate()
  const [url, setUrl] = useUrl()
  const scans = useMayOn('scan', id)
  const manages = useMayOn('manage-clusters', id)
  const scan = useScanNow()
  useLive(['cluster', 'task'], ['/api/v1/clusters/{id}', '/api/v1/overview', '/api/v1/tasks'])
  const query = api.useQuery('get', '/api/v1/clusters/{id}', { params: { path: { id: Number(id) } } })
  const c = query.data
  const parents = [{ title: t('clusters'), to: '/assets/clusters' }]
  if (query.error && !c)
    return (
      <Page title={t('cluster')} parents={parents}>
        <Problem error={query.error} retry={() => void query.refetch()} />
      </Page>
    )
  if (!c)
    return (
      <Page title="…" parents={parents}>
        <Skeleton active paragraph={{ rows: 14 }} />
      </Page>
    )
  const tab = (key: string, label: string, content: () => ReactNode) => ({ key, label, children: <Suspense fallback={<Skeleton active paragraph={{ rows: 10 }} />}>{content()}</Suspense> })
  const items = [
    tab('overview', t('tabs.overview'), () => <ClusterOverview cluster={c} />),
    ...(c.kind === 'snapshot' ? [] : [tab('permissions', t('tabs.permissions'), () => <PermissionsTab cluster={c} />)]),
    tab('components', t('tabs.components'), () => <Components target={id} />),
    tab('gaps', t('tabs.gaps'), () => <GapsTab id={id} />),
    ...(c.kind === 'snapshot' ? [] : [tab('watch', t('tabs.watch'), () => <WatchTab id={id} />)]),
    tab('scans', t('tabs.scans'), () => <ScansTab id={id} />),
    ...(c.kind === 'connector' ? [tab('connector', t('tabs.connector'), () => <ConnectorTab cluster={c} manages={manages} />)] : []),
  ]
  const open = items.some((i) => i.key === url.tab) ? url.tab! : 'overview'
  return (
    <Page
      title={c.name}
      parents={parents}
      lead={
        <>
          <ClusterState state={c.state} reason={c.reason} snapshot={c.kind === 'snapshot'} /> · {[c.version, c.distribution].filter(Boolean).join(' ') || t('versionUnknown')} · {t('columns.looked')}: <When at={c.lookedAt} />
        </>
      }
      actions={
        <>
          {scans && (
            <Button type="primary" loading={scan.busy} onClick={() => scan.start(id, t('scanOf', { name: c.name }))}>
              {t('scanNow')}
            </Button>
          )}
          <ClusterMenu id={id} name={c.name} kind={c.kind} words onRemoved={() => void navigate({ to: '/assets/clusters' })} />
        </>
      }
    >
      {scan.error ? <Problem error={scan.error} /> : null}
      <TabBar label={t('sections')} tabs={items} active={open} onChange={(key) => setUrl({ tab: key === 'overview' ? '' : key, code: '' })} />
    </Page>
  )
}
