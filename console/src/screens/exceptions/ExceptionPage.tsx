import { Link, useParams } from '@tanstack/react-router'
import { Alert, Skeleton } from 'antd'
import type { ReactNode } from 'react'
import { useTranslation } from 'react-i18next'

import { covered, parts } from './choices'
import { Comments } from './Comments'
import { Decide } from './Decide'
import { Effect } from './EffectView'
import css from './Exceptions.module.css'
import { StatusTag } from './StatusTag'
import { useTargetName } from './useClusterNames'
import { api, type Schemas } from '../../api/client'
import { useProfile } from '../../app/session'
import { Page, Panel } from '../../parts/Page'
import { Problem } from '../../parts/Problem'
import { When } from '../../parts/When'
import { useFormat } from '../../text/format'

type Record = Schemas['Record']

// ExceptionPage is one exception: what it covers, what it does now, who said what, and the decision.
export default function ExceptionPage() {
  const { t } = useTranslation('exceptions')
  const { id } = useParams({ strict: false })
  const query = api.useQuery('get', '/api/v1/exceptions/{id}', { params: { path: { id: Number(id) } } })
  const e = query.data
  return (
    <Page title={t('one', { id })} parents={[{ title: t('title'), to: '/exceptions' }]} lead={e && <StatusTag status={e.status} />}>
      {query.error ? <Problem error={query.error} retry={() => void query.refetch()} /> : e ? <Body exception={e} /> : <Skeleton active paragraph={{ rows: 12 }} />}
    </Page>
  )
}

function Body({ exception: e }: { exception: Record }) {
  const { t } = useTranslation('exceptions')
  const open = e.status === 'pending' || e.status === 'approved'
  return (
    <div className={css.grid}>
      <Panel title={t('what')}>
        <Facts exception={e} />
      </Panel>
      <div className={css.plain}>
        {open && <Decide exception={e} />}
        <Panel title={e.status === 'pending' ? t('effectNow') : t('col.accepts')}>
          <Accepted exception={e} />
        </Panel>
        <Panel title={t('comments')}>
          <Comments exception={e} />
        </Panel>
      </div>
    </div>
  )
}

function Facts({ exception: e }: { exception: Record }) {
  const { t } = useTranslation('exceptions')
  const { date, dateTime } = useFormat()
  const cluster = useTargetName()
  const mine = useProfile().user?.id === e.requesterId
  const rows: [string, ReactNode][] = []
  const add = (title: string, value: ReactNode) => {
    if (value) rows.push([title, value])
  }
  for (const p of parts(e.scope)) add(t(`field.${p.field}`), <code>{p.value}</code>)
  add(t('field.cluster'), cluster(e.targetId) ?? t('allClusters'))
  add(t('reason'), e.reason)
  add(t('category'), t(`categories.${e.category}`))
  add(t('col.requester'), mine ? t('you', { name: e.requester }) : e.requester)
  add(t('col.asked'), <When at={e.askedAt} />)
  add(t('source'), e.source === 'vex' && t('fromVex'))
  add(t('col.ends'), [e.expires ? (e.expires.length === 10 ? t('untilDay', { date: date(e.expires) }) : dateTime(e.expires)) : undefined, e.untilFix && t('withFix')].filter(Boolean).join(' · ') || t('never'))
  add(t('col.approver'), e.approver)
  add(t('decided'), e.decidedAt && <When at={e.decidedAt} />)
  add(t('note'), e.note)
  add(t('ended'), e.endedAt && <When at={e.endedAt} />)
  add(t('reopened'), e.reopened)
  add(t('lastUsed'), e.usedAt && <When at={e.usedAt} />)
  return (
    <dl className={css.facts}>
      {rows.map(([title, value]) => [<dt key={`${title}-t`}>{title}</dt>, <dd key={`${title}-d`}>{value}</dd>])}
    </dl>
  )
}

function Accepted({ exception: e }: { exception: Record }) {
  const { t } = useTranslation('exceptions')
  const { number } = useFormat()
  const query = api.useQuery('get', '/api/v1/exceptions/{id}/effect', { params: { path: { id: Number(e.id) } } }, { enabled: e.status === 'pending', retry: false })
  const list = covered(e.scope, e.targetId)
  if (e.status === 'pending')
    return (
      <>
        {query.error ? <Problem error={query.error} /> : query.data ? <Effect effect={query.data} /> : <Skeleton active title={false} paragraph={{ rows: 2 }} />}
        {list && (
          <p>
            <Link to="/risks" search={list}>
              {t('seeThem')}
            </Link>
          </p>
        )}
      </>
    )
  return (
    <>
      {e.unused && <Alert type="warning" showIcon title={t('nothingToAccept')} />}
      {!e.settled && <Alert type="info" showIcon title={t('settling')} />}
      <p>
        {e.findings > 0 ? (
          <Link to="/risks" search={{ view: 'findings', exception: e.id, status: 'accepted' }}>
            {t('acceptsNow', { count: e.findings, number: number(e.findings) })}
          </Link>
        ) : (
          t('acceptsNoneNow')
        )}
      </p>
    </>
  )
}
