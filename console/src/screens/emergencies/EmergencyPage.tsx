import { useParams } from '@tanstack/react-router'
import { Alert, Button, Skeleton, Tag } from 'antd'
import { lazy, Suspense, type ReactNode } from 'react'
import { useTranslation } from 'react-i18next'

import { About } from './About'
import { Standing } from './Standing'
import { sumsOf } from './verdicts'
import { api } from '../../api/client'
import { useLive } from '../../app/live'
import { numbers, useScope } from '../../app/scope'
import { useMay } from '../../app/session'
import blocks from '../../parts/Blocks.module.css'
import { Page } from '../../parts/Page'
import { Problem } from '../../parts/Problem'
import { useUrl } from '../../parts/search'
import { SeverityTag } from '../../parts/Severity'
import { TabBar } from '../../parts/TabBar'

const Results = lazy(() => import('./Results'))
const NotLooked = lazy(() => import('./NotLooked'))
const Checks = lazy(() => import('./Checks'))
const ScanNow = lazy(() => import('./ScanNow'))

// EmergencyPage is one emergency: what it is, where it was seen with the evidence, what was not looked at, and scanning for it now.
export default function EmergencyPage() {
  const { t } = useTranslation('emergencies')
  const { id = '' } = useParams({ strict: false })
  const [url, setUrl] = useUrl()
  const [scope] = useScope()
  const may = useMay('scan')
  useLive(['task', 'node', 'emergency'], ['/api/v1/emergencies/{emergency}', '/api/v1/emergencies/{emergency}/results', '/api/v1/emergencies/{emergency}/not-looked'])
  const target = numbers(scope.target)
  const query = api.useQuery('get', '/api/v1/emergencies/{emergency}', { params: { path: { emergency: id }, query: { target } } }, { placeholderData: (old) => old })
  const e = query.data
  const parents = [{ title: t('title'), to: '/emergencies' }]
  if (query.error && !e)
    return (
      <Page title={id} parents={parents}>
        <Problem error={query.error} retry={() => void query.refetch()} />
      </Page>
    )
  if (!e)
    return (
      <Page title={id} parents={parents}>
        <Skeleton active paragraph={{ rows: 14 }} />
      </Page>
    )
  const tab = (key: string, label: string, content: () => ReactNode) => ({ key, label, children: <Suspense fallback={<Skeleton active paragraph={{ rows: 10 }} />}>{content()}</Suspense> })
  const sums = sumsOf(e.counts)
  const tabs = [
    tab('about', t('tabs.about'), () => <About emergency={e} />),
    tab('results', t('tabs.results'), () => <Results emergency={e} target={target} />),
    tab('not-looked', t('tabs.not-looked'), () => <NotLooked emergency={e} target={target} />),
    tab('checks', t('tabs.checks'), () => <Checks emergency={e} />),
  ]
  return (
    <Page
      title={e.name || e.id}
      parents={parents}
      lead={
        <span className={blocks.row}>
          <code>{e.id}</code> <SeverityTag severity={e.severity} /> {e.kev && <Tag color="red">{t('kev')}</Tag>} <Standing sums={sums} />
          <span>{e.title}</span>
        </span>
      }
      actions={
        may && (
          <Button type="primary" onClick={() => setUrl({ scan: true })}>
            {t('scanNow')}
          </Button>
        )
      }
    >
      {e.retired && <Alert type="warning" showIcon title={t('retired')} description={t('retiredHint')} />}
      <TabBar label={t('sections')} tabs={tabs} active={tabs.find((x) => x.key === url.tab)?.key ?? 'about'} onChange={(key) => setUrl({ tab: key === 'about' ? '' : key, verdict: '', kind: '', q: '', open: '' })} />
      {url.scan === 'true' && may && (
        <Suspense>
          <ScanNow emergency={e} targets={scope.target} onClose={() => setUrl({ scan: '' })} />
        </Suspense>
      )}
    </Page>
  )
}
