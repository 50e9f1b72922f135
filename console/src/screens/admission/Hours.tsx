import { useTranslation } from 'react-i18next'

import css from './admission.module.css'
import type { Schemas } from '../../api/client'
import { dateTime, useFormat } from '../../text/format'

// Hours draws how often something happened in the last days; the numbers stand in its name.
export function Hours({ hours }: { hours: Schemas['AdmissionHour'][] | null }) {
  const { t } = useTranslation('admission')
  const { number } = useFormat()
  const list = hours ?? []
  if (list.length < 2) return null
  const max = Math.max(...list.map((h) => h.count))
  const peak = list.find((h) => h.count === max)!
  return (
    <div className={css.hours} role="img" aria-label={t('hoursLabel', { number: number(list.reduce((n, h) => n + h.count, 0)), peak: number(max), at: dateTime(peak.at) })}>
      {list.map((h) => (
        <span key={h.at} style={{ height: `${Math.max(4, (100 * h.count) / max)}%` }} title={`${dateTime(h.at)}: ${number(h.count)}`} />
      ))}
    </div>
  )
}
