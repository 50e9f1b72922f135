import { useParams } from '@tanstack/react-router'
import { Button, Skeleton } from 'antd'
import { lazy, Suspense, type ReactNode } from 'react'
import { useTranslation } from 'react-i18next'

import { ClusterOverview } from './ClusterOverview'
import { on } from './shapes'
import { StateTag } from './StateTag'
import { api } from '../../api/client'
import { useLive } from '../../app/live'
import { useMayOn } from '../../app/session'
import { Page } from '../../parts/Page'
import { Problem } from '../../parts/Problem'
import { useUrl } from '../../parts/search'
import { TabBar } from '../../parts/TabBar'

const EnableDialog = lazy(() => import('./EnableDialog'))
const DisableDialog = lazy(() => import('./DisableDialog'))
const HealthView = lazy(() => import('./HealthView'))
const ObjectsTab = lazy(() => import('./ObjectsTab'))
const DriftTab = lazy(() => import('./DriftTab'))
const BypassTab = lazy(() => import('./BypassTab'))
const SettingsTab = lazy(() => import('./SettingsTab'))

// ClusterPage is the protection of one cluster.
export default function ClusterPage() {
  const { t } = useTranslation('protection')
  const { id = '' } = useParams({ strict: false })
  const [url, setUrl] = useUrl()
  const may = useMayOn('manage-policies', id)
  useLive(['protection', 'policies'], ['/api/v1/protection/{target}', '/api/v1/protection/{target}/objects', '/api/v1/protection/{target}/bypasses'])
  const query = api.useQuery('get', '/api/v1/protection/{target}', { params: { path: { target: Number(id) } } })
  const s = query.data
  const parents = [{ title: t('clusters'), to: '/protection/clusters' }]
  if (!s)
    return (
      <Page title={query.error ? t('cluster') : '…'} parents={parents}>
        {query.error ? <Problem error={query.error} retry={() => void query.refetch()} /> : <Skeleton active paragraph={{ rows: 12 }} />}
      </Page>
    )
  const tab = (key: string, content: ReactNode) => ({ key, label: t(`tabs.${key as 'overview'}`), children: <Suspense fallback={<Skeleton active paragraph={{ rows: 8 }} />}>{content}</Suspense> })
  const tabs = [
    tab('overview', <ClusterOverview status={s} />),
    ...(on(s.state) ? [tab('health', <HealthView target={id} />), tab('objects', <ObjectsTab target={id} />), tab('drift', <DriftTab status={s} may={may} />), tab('bypasses', <BypassTab target={id} />)] : []),
    tab('settings', <SettingsTab status={s} may={may} />),
  ]
  return (
    <Page
      title={s.name}
      parents={parents}
      lead={<StateTag state={s.state} reason={s.reason} />}
      actions={
        may &&
        (s.state === 'unprotected' || s.state === 'installing' || s.state === 'error' ? (
          <Button type="primary" onClick={() => setUrl({ enable: id })}>
            {s.state === 'unprotected' ? t('enable') : t('progress')}
          </Button>
        ) : (
          <Button onClick={() => setUrl({ disable: id })}>{t('disable')}</Button>
        ))
      }
    >
      <TabBar label={t('sections')} tabs={tabs} active={tabs.some((x) => x.key === url.tab) ? url.tab! : 'overview'} onChange={(key) => setUrl({ tab: key === 'overview' ? '' : key })} />
      <Suspense>
        {url.enable && may && <EnableDialog target={id} name={s.name} close={() => setUrl({ enable: '' })} />}
        {url.disable && may && <DisableDialog target={id} name={s.name} close={() => setUrl({ disable: '' })} />}
      </Suspense>
    </Page>
  )
}
