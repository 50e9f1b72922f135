import { useParams } from '@tanstack/react-router'
import { Alert, Skeleton } from 'antd'
import { useTranslation } from 'react-i18next'

import { ClauseDetail } from './ClauseDetail'
import { ClausesTab } from './ClausesTab'
import { CompareTab } from './CompareTab'
import { ExportTab } from './ExportTab'
import { byFramework, webLink } from './model'
import { TrendTab } from './TrendTab'
import { VerdictBar } from './VerdictBar'
import css from './compliance.module.css'
import { api } from '../../api/client'
import { useLive } from '../../app/live'
import { numbers, searchOf, useScope } from '../../app/scope'
import { EmptyState } from '../../parts/EmptyState'
import { Page } from '../../parts/Page'
import { TabBar } from '../../parts/TabBar'
import { Problem } from '../../parts/Problem'
import { useUrl } from '../../parts/search'
import { When } from '../../parts/When'
import { useFormat } from '../../text/format'

const tabs = ['clauses', 'compare', 'trend', 'export'] as const
type Tab = (typeof tabs)[number]

export default function FrameworkPage() {
  const { t } = useTranslation('compliance')
  const { percent } = useFormat()
  const { framework = '' } = useParams({ strict: false })
  const [search, setSearch] = useUrl()
  const [scope] = useScope()
  const target = numbers(scope.target)
  const query = api.useQuery('get', '/api/v1/compliance', { params: { query: { target } } })
  const known = api.useQuery('get', '/api/v1/frameworks', undefined, { staleTime: Infinity })
  useLive(['task'], ['/api/v1/compliance', '/api/v1/compliance/{framework}/compare', '/api/v1/compliance/{framework}/clauses/{clause}', '/api/v1/compliance/{framework}/trend'])
  const info = known.data?.items?.find((f) => f.framework === framework)
  const sum = byFramework(query.data?.items ?? []).find((f) => f.framework === framework)
  const tab: Tab = tabs.find((x) => x === search.tab) ?? 'clauses'
  const source = webLink(info?.source)
  const close = () => setSearch({ open: undefined })
  if (known.data && !info)
    return (
      <Page title={framework} parents={[{ title: t('title'), to: '/compliance' }]}>
        <EmptyState title={t('noFramework')} hint={t('noFrameworkHint')} />
      </Page>
    )
  return (
    <Page
      title={info?.title ?? framework}
      parents={[{ title: t('title'), to: '/compliance' }]}
      lead={
        <>
          {info?.note}{' '}
          {source && (
            <a href={source} target="_blank" rel="noreferrer noopener" className={css.inText}>
              {t('standard')}
            </a>
          )}
        </>
      }
    >
      {scope.namespace.length > 0 && <Alert type="info" showIcon title={t('wholeClusters')} />}
      {query.error && <Problem error={query.error} retry={() => void query.refetch()} />}
      <section className={css.card} aria-label={t('summary')}>
        {query.isPending && <Skeleton active title={false} paragraph={{ rows: 3 }} />}
        {query.data && !sum && <EmptyState title={t('none')} hint={t('noneHint')} />}
        {sum && (
          <>
            <div className={css.cardHead}>
              <span>
                {t('clusters', { count: sum.clusters.length, number: String(sum.clusters.length) })} · {t('judged')} <When at={sum.oldest} />
              </span>
              <span className={css.score} title={t('scoreHint')}>
                {sum.score < 0 ? t('undecided') : percent(sum.score / 100)}
              </span>
            </div>
            <VerdictBar sum={sum} framework={framework} search={searchOf({ target: scope.target, namespace: [] })} />
          </>
        )}
      </section>
      <TabBar
        label={t('title')}
        active={tab}
        onChange={(key) => setSearch({ tab: key === 'clauses' ? undefined : key, open: undefined })}
        tabs={[
          { key: 'clauses', label: t('tab.clauses'), children: <ClausesTab framework={framework} target={target} /> },
          { key: 'compare', label: t('tab.compare'), children: <CompareTab framework={framework} target={target} /> },
          { key: 'trend', label: t('tab.trend'), children: <TrendTab framework={framework} target={target} /> },
          { key: 'export', label: t('tab.export'), children: <ExportTab framework={framework} target={target} clusters={sum?.clusters.map((c) => c.target) ?? []} /> },
        ]}
      />
      {search.open && <ClauseDetail key={search.open} framework={framework} clause={search.open} target={target} onClose={close} />}
    </Page>
  )
}
