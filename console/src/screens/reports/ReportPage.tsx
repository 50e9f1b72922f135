import { useNavigate, useParams } from '@tanstack/react-router'
import { Skeleton } from 'antd'
import { useEffect, useRef } from 'react'
import { useTranslation } from 'react-i18next'

import { About } from './About'
import type { Report } from './model'
import { ReportActions } from './ReportActions'
import css from './reports.module.css'
import { ResultDownload } from './ResultDownload'
import { api } from '../../api/client'
import { useMay } from '../../app/session'
import { EmptyState } from '../../parts/EmptyState'
import { Page, Panel } from '../../parts/Page'
import { Problem } from '../../parts/Problem'
import { When } from '../../parts/When'
import { missing, useFormat } from '../../text/format'
import { useTimesText } from '../scans/timesText'

export default function ReportPage() {
  const { t } = useTranslation('reports')
  const { id = '' } = useParams({ strict: false })
  const navigate = useNavigate()
  const query = api.useQuery('get', '/api/v1/reports/{id}', { params: { path: { id: Number(id) } } }, { refetchInterval: (q) => (q.state.data?.running ? 2000 : false) })
  const r = query.data
  return (
    <Page
      title={r?.name ?? t('report')}
      parents={[{ title: t('title'), to: '/reports' }]}
      actions={r && <ReportActions report={r} onRemoved={() => void navigate({ to: '/reports', search: { tab: 'scheduled' } })} />}
    >
      {query.error && <Problem error={query.error} retry={() => void query.refetch()} />}
      {query.isPending && <Skeleton active paragraph={{ rows: 8 }} />}
      {r && (
        <>
          <Panel title={t('about')}>
            <Facts report={r} />
          </Panel>
          <Panel title={t('results')}>
            <Results report={r} />
          </Panel>
        </>
      )}
    </Page>
  )
}

function Facts({ report: r }: { report: Report }) {
  const { t } = useTranslation('reports')
  const { list, number } = useFormat()
  const said = useTimesText()
  const may = useMay('manage-schedules')
  const known = api.useQuery('get', '/api/v1/channels', undefined, { enabled: may && r.channels.length > 0 })
  const names = r.channels.map((c) => known.data?.items?.find((x) => x.id === c)?.name ?? `#${c}`)
  return (
    <dl className={css.facts}>
      <dt>{t('what')}</dt>
      <dd>
        <About report={r} />
      </dd>
      <dt>{t('schedule')}</dt>
      <dd>
        {r.cron ? said(r.cron, r.zone) : t('onlyAsked')}
        {!r.enabled && <span className={css.bad}> · {t('disabled')}</span>}
      </dd>
      {!missing(r.nextAt) && (
        <>
          <dt>{t('next')}</dt>
          <dd>
            <When at={r.nextAt} />
          </dd>
        </>
      )}
      <dt>{t('owner')}</dt>
      <dd>{r.owner}</dd>
      <dt>{t('channels')}</dt>
      <dd>{names.length > 0 ? list(names) : t('noChannels')}</dd>
      <dt>{t('keep')}</dt>
      <dd>{number(r.keep)}</dd>
    </dl>
  )
}

function Results({ report: r }: { report: Report }) {
  const { t } = useTranslation('reports')
  const { number, bytes, duration } = useFormat()
  const query = api.useQuery('get', '/api/v1/reports/{id}/results', { params: { path: { id: Number(r.id) } } })
  const { refetch } = query
  const last = r.last?.id
  const seen = useRef(last)
  useEffect(() => {
    if (last === seen.current) return
    seen.current = last // a run has ended
    void refetch()
  }, [last, refetch])
  const list = query.data?.items ?? []
  return (
    <>
      {query.error && <Problem error={query.error} retry={() => void query.refetch()} />}
      {query.isPending && <Skeleton active paragraph={{ rows: 3 }} />}
      {r.running && <p role="status">{t('running')}</p>}
      {query.data && list.length === 0 && !r.running && <EmptyState title={t('never')} hint={t('neverHint')} />}
      {list.length > 0 && (
        <div className={css.scroll} tabIndex={0} role="region" aria-label={t('results')}>
          <table className={css.table}>
            <thead>
              <tr>
                <th>{t('written')}</th>
                <th className={css.right}>{t('count')}</th>
                <th className={css.right}>{t('size')}</th>
                <th className={css.right}>{t('took')}</th>
                <th>{t('file')}</th>
              </tr>
            </thead>
            <tbody>
              {list.map((x) => (
                <tr key={x.id}>
                  <td>
                    <When at={x.finishedAt} />
                  </td>
                  <td className={css.right}>{number(x.findings)}</td>
                  <td className={css.right}>{bytes(x.bytes)}</td>
                  <td className={css.right}>{duration(new Date(x.finishedAt).getTime() - new Date(x.startedAt).getTime())}</td>
                  <td>{x.error ? <span className={css.bad}>{t('failed', { why: x.error })}</span> : <ResultDownload report={r} result={x} />}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </>
  )
}
