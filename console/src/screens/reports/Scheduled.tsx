import { PlusOutlined } from '@ant-design/icons'
import { Link } from '@tanstack/react-router'
import { Button, Skeleton } from 'antd'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'

import { About } from './About'
import { LastResult } from './LastResult'
import type { Report } from './model'
import { ReportActions } from './ReportActions'
import { ReportForm } from './ReportForm'
import css from './reports.module.css'
import { api } from '../../api/client'
import { useMay } from '../../app/session'
import { EmptyState } from '../../parts/EmptyState'
import { Problem } from '../../parts/Problem'
import { When } from '../../parts/When'
import { missing } from '../../text/format'
import { useTimesText } from '../scans/timesText'

// Scheduled lists the reports that are written by schedule or when somebody asks.
export function Scheduled() {
  const { t } = useTranslation('reports')
  const may = useMay('manage-schedules')
  const [adding, add] = useState(false)
  const query = api.useQuery('get', '/api/v1/reports', undefined, { refetchInterval: (q) => (q.state.data?.items.some((r) => r.running) ? 3000 : false) })
  const list = query.data?.items ?? []
  const button = may && (
    <Button type="primary" icon={<PlusOutlined />} onClick={() => add(true)}>
      {t('add')}
    </Button>
  )
  return (
    <>
      <div className={css.row} style={{ marginBottom: 12, justifyContent: 'space-between' }}>
        <span className={css.soft}>{t('ownerHint')}</span>
        {list.length > 0 && button}
      </div>
      {query.error && <Problem error={query.error} retry={() => void query.refetch()} />}
      {query.isPending && <Skeleton active paragraph={{ rows: 6 }} />}
      {query.data && list.length === 0 && <EmptyState title={t('none')} hint={t('noneHint')} action={button} />}
      {list.length > 0 && <List list={list} />}
      {adding && <ReportForm onClose={() => add(false)} />}
    </>
  )
}

function List({ list }: { list: Report[] }) {
  const { t } = useTranslation('reports')
  const said = useTimesText()
  return (
    <div className={css.scroll} tabIndex={0} role="region" aria-label={t('tab.scheduled')}>
      <table className={css.table}>
        <thead>
          <tr>
            <th style={{ minWidth: 160 }}>{t('name')}</th>
            <th style={{ minWidth: 180 }}>{t('what')}</th>
            <th style={{ minWidth: 160 }}>{t('schedule')}</th>
            <th style={{ minWidth: 110 }}>{t('next')}</th>
            <th style={{ minWidth: 160 }}>{t('last')}</th>
            <th>{t('owner')}</th>
            <th>{t('actions')}</th>
          </tr>
        </thead>
        <tbody>
          {list.map((r) => (
            <tr key={r.id}>
              <td>
                <Link to="/reports/$id" params={{ id: r.id }}>
                  {r.name}
                </Link>
              </td>
              <td>
                <About report={r} />
              </td>
              <td>
                {r.cron ? said(r.cron, r.zone) : t('onlyAsked')}
                {!r.enabled && <div className={css.bad}>{t('disabled')}</div>}
              </td>
              <td>{missing(r.nextAt) ? '–' : <When at={r.nextAt} />}</td>
              <td>
                <LastResult report={r} />
              </td>
              <td>{r.owner}</td>
              <td>
                <ReportActions report={r} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  )
}
