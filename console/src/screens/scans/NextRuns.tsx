import { Skeleton } from 'antd'
import { useEffect, useState } from 'react'
import { useTranslation } from 'react-i18next'

import css from './scans.module.css'
import { api, Failed } from '../../api/client'
import { useFormat } from '../../text/format'

// NextRuns shows when a schedule would run, as the server counts it: changes of the clocks included.
export function NextRuns({ cron, zone }: { cron: string; zone: string }) {
  const { t } = useTranslation('scans')
  const { dateTime } = useFormat()
  const [asked, ask] = useState({ cron, zone })
  useEffect(() => {
    const timer = setTimeout(() => ask({ cron, zone }), 300)
    return () => clearTimeout(timer)
  }, [cron, zone])
  const { data, error, isPending } = api.useQuery('get', '/api/v1/schedules/next', { params: { query: { cron: asked.cron, timeZone: asked.zone, count: 5 } } }, { enabled: asked.cron !== '', retry: false })
  return (
    <section className={css.box} aria-label={t('nextRuns')} aria-live="polite" style={{ minHeight: 150, marginBottom: 16 }}>
      <h3>{t('nextRuns')}</h3>
      {asked.cron === '' ? (
        <p className={css.soft}>{t('daysNone')}</p>
      ) : error ? (
        <p className={css.bad}>{error instanceof Failed ? error.detail : String(error)}</p>
      ) : isPending ? (
        <Skeleton active title={false} paragraph={{ rows: 4 }} />
      ) : (
        <ol>
          {data?.runs.map((at) => (
            <li key={at}>{dateTime(at)}</li>
          ))}
        </ol>
      )}
    </section>
  )
}
