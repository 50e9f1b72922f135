import { ReloadOutlined } from '@ant-design/icons'
import { Button, Skeleton } from 'antd'
import { lazy, Suspense, type ReactNode } from 'react'
import { useTranslation } from 'react-i18next'

import { Coverage } from './Coverage'
import { Emergency } from './Emergency'
import { EmergencyFindings } from './EmergencyFindings'
import { Frameworks } from './Frameworks'
import { Kinds } from './Kinds'
import { findings } from './links'
import css from './overview.module.css'
import { Protection } from './Protection'
import { Recent } from './Recent'
import { Score } from './Score'
import { Trend } from './Trend'
import { Images, Workloads } from './Worst'
import { api } from '../../api/client'
import { useLive } from '../../app/live'
import { numbers, useScope } from '../../app/scope'
import { Page, Panel } from '../../parts/Page'
import { Problem } from '../../parts/Problem'
import { When } from '../../parts/When'

const FirstSteps = lazy(() => import('./FirstSteps').then((m) => ({ default: m.FirstSteps })))

const path = '/api/v1/overview'

// Overview is the first page: how things stand in the scope.
export default function Overview() {
  const { t } = useTranslation('overview')
  const [scope] = useScope()
  const query = api.useQuery('get', path, { params: { query: { target: numbers(scope.target), namespace: scope.namespace.length > 0 ? scope.namespace : undefined } } }, { placeholderData: (old) => old })
  useLive(['task', 'cluster'], [path])
  useLive(['protection', 'admission'], ['/api/v1/protection', '/api/v1/admission-events/summary'])
  useLive(['node', 'emergency'], ['/api/v1/nodes/counts', '/api/v1/emergencies'])
  const o = query.data
  const empty = o && o.coverage.targets === 0 && scope.target.length === 0
  if (query.error && !o)
    return (
      <Page title={t('title')}>
        <Problem error={query.error} retry={() => void query.refetch()} />
      </Page>
    )
  if (empty)
    return (
      <Page title={t('title')} lead={t('firstLead')}>
        <Suspense fallback={<Skeleton active />}>
          <FirstSteps />
        </Suspense>
      </Page>
    )
  const body = (content: () => ReactNode, rows: number) => (o ? content() : <Skeleton active title={false} paragraph={{ rows, width: '100%' }} />)
  return (
    <Page
      title={t('title')}
      lead={t('lead')}
      actions={
        <span className={css.updated}>
          {o && (
            <>
              {t('updated')} <When at={new Date(query.dataUpdatedAt).toISOString()} />
            </>
          )}
          <Button type="text" icon={<ReloadOutlined spin={query.isFetching} />} aria-label={t('refresh')} onClick={() => void query.refetch()} />
        </span>
      }
    >
      <div className={css.grid} aria-busy={query.isFetching}>
        <Panel title={t('score')} className={`${css.less} ${css.tall}`}>
          {body(() => <Score score={o!.score} scope={scope} />, 12)}
        </Panel>
        <Panel title={t('byKind')} className={`${css.half} ${css.tall}`}>
          {body(() => <Kinds counts={o!.kinds} link={(filter) => findings(scope, filter)} />, 12)}
        </Panel>
        <Panel title={t('sinceYesterday')} className={`${css.third} ${css.middle}`}>
          {body(() => <Recent overview={o!} scope={scope} />, 7)}
        </Panel>
        <Panel title={t('emergencies')} className={`${css.third} ${css.middle}`}>
          {scope.namespace.length > 0 ? body(() => <EmergencyFindings overview={o!} scope={scope} />, 7) : <Emergency scope={scope} />}
        </Panel>
        <Panel title={t('coverage')} className={`${css.third} ${css.middle}`}>
          {body(() => <Coverage overview={o!} scope={scope} />, 7)}
        </Panel>
        <Panel title={t('protection')} className={css.whole}>
          <Protection scope={scope} />
        </Panel>
        <Panel title={t('trend')} className={`${css.wide} ${css.tall}`}>
          {body(() => <Trend days={o!.trend ?? []} part={scope.namespace.length > 0} />, 9)}
        </Panel>
        <Panel title={t('compliance')} className={`${css.third} ${css.tall}`}>
          {body(() => <Frameworks list={o!.compliance ?? []} scope={scope} />, 9)}
        </Panel>
        <Panel title={t('workloads')} className={`${css.wide} ${css.tall}`}>
          {body(() => <Workloads list={o!.workloads ?? []} />, 12)}
        </Panel>
        <Panel title={t('images')} className={`${css.third} ${css.tall}`}>
          {body(() => <Images list={o!.images ?? []} />, 12)}
        </Panel>
      </div>
    </Page>
  )
}
