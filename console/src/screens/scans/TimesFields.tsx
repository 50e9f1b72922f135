import { Checkbox, Form, Input, Radio, Select } from 'antd'
import { useMemo } from 'react'
import { useTranslation } from 'react-i18next'

import { clock, readClock, zones, type Times } from './cron'
import css from './scans.module.css'

type Props = { times: Times; zone: string; onTimes: (times: Times) => void; onZone: (zone: string) => void }

const week = [1, 2, 3, 4, 5, 6, 0] as const

// TimesFields choose when a schedule runs: each day, on days of the week, or by the words of cron.
export function TimesFields({ times, zone, onTimes, onZone }: Props) {
  const { t } = useTranslation('scans')
  const options = useMemo(() => zones().map((z) => ({ value: z, label: z })), [])
  return (
    <>
      <Form.Item label={t('when')}>
        <Radio.Group value={times.mode} onChange={(e) => onTimes({ ...times, mode: e.target.value as Times['mode'] })} aria-label={t('when')}>
          <Radio value="daily">{t('modes.daily')}</Radio>
          <Radio value="weekly">{t('modes.weekly')}</Radio>
          <Radio value="cron">{t('modes.cron')}</Radio>
        </Radio.Group>
      </Form.Item>
      {times.mode === 'weekly' && (
        <Form.Item label={t('days')} validateStatus={times.days.length === 0 ? 'error' : undefined} help={times.days.length === 0 ? t('daysNone') : undefined}>
          <Checkbox.Group value={times.days} onChange={(days) => onTimes({ ...times, days: days as number[] })} options={week.map((d) => ({ value: d, label: t(`day.${d}`) }))} aria-label={t('days')} />
        </Form.Item>
      )}
      <div className={css.columns}>
        {times.mode === 'cron' ? (
          <Form.Item label={t('cron')} htmlFor="schedule-cron" extra={t('cronWhy')}>
            <Input id="schedule-cron" value={times.cron} maxLength={200} onChange={(e) => onTimes({ ...times, cron: e.target.value })} style={{ fontFamily: 'monospace' }} />
          </Form.Item>
        ) : (
          <Form.Item label={t('time')} htmlFor="schedule-time">
            <Input
              id="schedule-time"
              type="time"
              value={clock(times.hour, times.minute)}
              onChange={(e) => {
                const read = readClock(e.target.value)
                if (read) onTimes({ ...times, ...read })
              }}
            />
          </Form.Item>
        )}
        <Form.Item label={t('zone')} htmlFor="schedule-zone">
          <Select id="schedule-zone" showSearch aria-label={t('zone')} value={zone} options={options} onChange={onZone} style={{ width: '100%' }} />
        </Form.Item>
      </div>
    </>
  )
}
