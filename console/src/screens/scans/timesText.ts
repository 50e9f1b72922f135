import { useTranslation } from 'react-i18next'

import { clock, timesOf } from './cron'
import { useFormat } from '../../text/format'

// useTimesText says in words when a schedule runs.
export function useTimesText(): (cron: string, zone: string) => string {
  const { t } = useTranslation('scans')
  const { list } = useFormat()
  return (cron, zone) => {
    const times = timesOf(cron)
    const time = clock(times.hour, times.minute)
    switch (times.mode) {
      case 'daily':
        return t('daily', { time, zone })
      case 'weekly':
        return t('weekly', { time, zone, days: list(times.days.map((d) => t(`day.${d as 0}`))) })
      case 'cron':
        return t('byCron', { cron, zone })
    }
  }
}
