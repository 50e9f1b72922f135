import { useTranslation } from 'react-i18next'

import { left } from './progress'
import css from './scans.module.css'
import { useFormat } from '../../text/format'

type Props = { label: string; share: number; failed?: boolean; remaining?: number; going?: boolean }

// Bar shows how much is done, and how long it still takes.
export function Bar({ label, share, failed, remaining, going }: Props) {
  const { t } = useTranslation('scans')
  const { percent, number } = useFormat()
  const time = left(remaining)
  return (
    <div className={`${css.bar} ${failed ? css.failed : ''}`}>
      <div className={css.track} role="progressbar" aria-label={label} aria-valuemin={0} aria-valuemax={100} aria-valuenow={Math.round(share * 100)}>
        <div className={css.fill} style={{ width: `${share * 100}%` }} />
      </div>
      <span>{percent(Math.floor(share * 100) / 100)}</span>
      {going && <span className={css.soft}>{time.key === 'left' ? t('left', { count: time.count, number: number(time.count) }) : t(time.key)}</span>}
    </div>
  )
}
