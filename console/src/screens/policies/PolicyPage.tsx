import { Link, useParams } from '@tanstack/react-router'
import { Button, Skeleton, Tag } from 'antd'
import { lazy, Suspense, type ReactNode } from 'react'
import { useTranslation } from 'react-i18next'

import { ActionTag } from './ActionTag'
import { sharpestOf } from './draft'
import { PolicyMenu } from './PolicyMenu'
import { PolicyOverview } from './PolicyOverview'
import { at } from './rollout'
import { api } from '../../api/client'
import { useLive } from '../../app/live'
import { useMay } from '../../app/session'
import { Page } from '../../parts/Page'
import { Problem } from '../../parts/Problem'
import { useUrl } from '../../parts/search'
import { TabBar } from '../../parts/TabBar'
import { When } from '../../parts/When'

const VersionsTab = lazy(() => import('./VersionsTab'))
const ObjectsTab = lazy(() => import('./ObjectsTab'))

// PolicyPage is one policy: what it says, its versions, the objects that it becomes.
export default function PolicyPage() {
  const { t } = useTranslation('policies')
  const { id = '' } = useParams({ strict: false })
  const [url, setUrl] = useUrl()
  const may = useMay('manage-policies')
  useLive(['policies'], ['/api/v1/policies/{id}', '/api/v1/policies/{id}/versions'])
  const query = api.useQuery('get', '/api/v1/policies/{id}', { params: { path: { id: Number(id) } } })
  const p = query.data
  const parents = [{ title: t('title'), to: '/protection/policies' }]
  if (!p)
    return (
      <Page title={query.error ? t('policy') : '…'} parents={parents}>
        {query.error ? <Problem error={query.error} retry={() => void query.refetch()} /> : <Skeleton active paragraph={{ rows: 12 }} />}
      </Page>
    )
  const tab = (key: string, content: ReactNode) => ({ key, label: t(`tabs.${key as 'overview'}`), children: <Suspense fallback={<Skeleton active paragraph={{ rows: 8 }} />}>{content}</Suspense> })
  const tabs = [tab('overview', <PolicyOverview policy={p} />), tab('versions', <VersionsTab policy={p} />), tab('objects', <ObjectsTab policy={p} />)]
  return (
    <Page
      title={p.name}
      parents={parents}
      lead={
        <>
          {p.disabled ? <Tag>{t('off')}</Tag> : <ActionTag action={at(p, sharpestOf(p))} />} {t('versionOf', { version: p.version ?? 1 })} · {p.updatedBy} · <When at={p.updatedAt} />
        </>
      }
      actions={
        <>
          {may && (
            <Link to="/protection/policies/$id/edit" params={{ id }}>
              <Button type="primary" tabIndex={-1}>
                {t('edit')}
              </Button>
            </Link>
          )}
          <Link to="/protection/preview" search={{ policy: id }}>
            {t('toPreview')}
          </Link>
          <Link to="/protection/events" search={{ policy: id }}>
            {t('toEvents')}
          </Link>
          <PolicyMenu policy={p} />
        </>
      }
    >
      <TabBar label={t('sections')} tabs={tabs} active={tabs.some((x) => x.key === url.tab) ? url.tab! : 'overview'} onChange={(key) => setUrl({ tab: key === 'overview' ? '' : key })} />
    </Page>
  )
}
