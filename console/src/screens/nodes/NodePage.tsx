import { Link, useNavigate, useParams } from '@tanstack/react-router'
import { Button, Skeleton } from 'antd'
import { lazy, Suspense, type ReactNode } from 'react'
import { useTranslation } from 'react-i18next'

import { findingsOf } from './columns'
import { NodeNotice } from './NodeNotice'
import { NodeMenu } from './NodeMenu'
import { NodeOverview } from './NodeOverview'
import { NodeState } from './NodeState'
import { api } from '../../api/client'
import { useLive } from '../../app/live'
import { useMayOn } from '../../app/session'
import blocks from '../../parts/Blocks.module.css'
import { Page } from '../../parts/Page'
import { Problem } from '../../parts/Problem'
import { useUrl } from '../../parts/search'
import { TabBar } from '../../parts/TabBar'
import { When } from '../../parts/When'

const ContainersTab = lazy(() => import('./ContainersTab'))
const BinariesTab = lazy(() => import('./BinariesTab'))
const SettingsTab = lazy(() => import('./SettingsTab'))
const UnreadTab = lazy(() => import('./UnreadTab'))

// NodePage is one node: its agent, what was found on it, and what the agent read there.
export default function NodePage() {
  const { t } = useTranslation('nodes')
  const { id = '' } = useParams({ strict: false })
  const navigate = useNavigate()
  const [url, setUrl] = useUrl()
  useLive(['node', 'task'], ['/api/v1/nodes/{id}', '/api/v1/nodes/{id}/facts', '/api/v1/nodes/{id}/containers', '/api/v1/assets/{id}'])
  const query = api.useQuery('get', '/api/v1/nodes/{id}', { params: { path: { id: Number(id) } } })
  const n = query.data
  const scans = useMayOn('scan', n?.targetId ?? '')
  const scan = api.useMutation('post', '/api/v1/tasks', { onSuccess: (task) => void navigate({ to: '/tasks/$id', params: { id: task.id } }) })
  const parents = [{ title: t('nodes'), to: '/assets/nodes' }]
  if (query.error && !n)
    return (
      <Page title={t('node')} parents={parents}>
        <Problem error={query.error} retry={() => void query.refetch()} />
      </Page>
    )
  if (!n)
    return (
      <Page title="…" parents={parents}>
        <Skeleton active paragraph={{ rows: 14 }} />
      </Page>
    )
  const lives = ['protected', 'paused', 'degraded'].includes(n.state)
  const tab = (key: string, label: string, content: () => ReactNode) => ({ key, label, children: <Suspense fallback={<Skeleton active paragraph={{ rows: 10 }} />}>{content()}</Suspense> })
  const tabs = [
    tab('overview', t('tabs.overview'), () => <NodeOverview node={n} />),
    tab('containers', t('tabs.containers'), () => <ContainersTab node={n} />),
    tab('binaries', t('tabs.binaries'), () => <BinariesTab node={n} />),
    tab('settings', t('tabs.settings'), () => <SettingsTab node={n} />),
    tab('unread', t('tabs.unread'), () => <UnreadTab node={n} />),
  ]
  const all = findingsOf(n)
  return (
    <Page
      title={n.name}
      parents={parents}
      lead={
        <span className={blocks.row}>
          <Link to="/clusters/$id" params={{ id: n.targetId }}>
            {n.cluster}
          </Link>
          <NodeState state={n.state} reason={n.reason} />
          {n.state !== 'never' && n.state !== 'unsupported' && (
            <span>
              {t('seen')}: <When at={n.seenAt} />
            </span>
          )}
        </span>
      }
      actions={
        <>
          {n.assetId && (
            <Link to={all.to} search={all.search}>
              {t('allFindings')}
            </Link>
          )}
          {scans && lives && (
            <Button type="primary" loading={scan.isPending} onClick={() => scan.mutate({ body: { name: t('scanOf', { name: n.name }), nodes: [{ clusterId: n.targetId, name: n.name }] } })}>
              {t('scanNow')}
            </Button>
          )}
          <NodeMenu node={n} />
        </>
      }
    >
      {scan.error ? <Problem error={scan.error} /> : null}
      <NodeNotice node={n} />
      <TabBar label={t('sections')} tabs={tabs} active={tabs.find((x) => x.key === url.tab)?.key ?? 'overview'} onChange={(key) => setUrl({ tab: key === 'overview' ? '' : key, q: '', open: '' })} />
    </Page>
  )
}
