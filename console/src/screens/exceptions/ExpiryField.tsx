import { Checkbox, Input, InputNumber, Radio } from 'antd'
import { useTranslation } from 'react-i18next'

import css from './Exceptions.module.css'
import { lastDay, type Expiry, type ExpiryFault } from './expiry'
import type { Schemas } from '../../api/client'
import { useFormat } from '../../text/format'

type Props = {
  value: Expiry
  change: (e: Expiry) => void
  untilFix: boolean
  setUntilFix: (on: boolean) => void
  settings?: Schemas['Settings']
  fault?: ExpiryFault
}

// ExpiryField chooses when an exception ends.
export function ExpiryField({ value, change, untilFix, setUntilFix, settings, fault }: Props) {
  const { t } = useTranslation('exceptions')
  const { date } = useFormat()
  const how = (next: Expiry['how']) => change(next === 'days' ? { how: 'days', days: 90 } : next === 'date' ? { how: 'date', date: lastDay({ how: 'days', days: 90 }) ?? '' } : { how: 'none' })
  const day = lastDay(value)
  return (
    <fieldset>
      <legend>{t('expiry')}</legend>
      <Radio.Group value={value.how} onChange={(e) => how(e.target.value as Expiry['how'])} className={css.inline}>
        <Radio value="days">{t('inDays')}</Radio>
        <Radio value="date">{t('onDate')}</Radio>
        {settings?.allowUnlimited && <Radio value="none">{t('never')}</Radio>}
      </Radio.Group>
      <div className={css.inline}>
        {value.how === 'days' && <InputNumber aria-label={t('days')} min={1} max={settings?.maxDays ?? 3650} value={value.days} onChange={(n) => change({ how: 'days', days: n ?? 0 })} suffix={t('daysUnit')} />}
        {value.how === 'date' && <Input type="date" aria-label={t('lastDay')} value={value.date} onChange={(e) => change({ how: 'date', date: e.target.value })} style={{ width: 180 }} />}
        {day && !fault && <span className={css.hint}>{t('untilDay', { date: date(day) })}</span>}
        {fault && (
          <span className={css.fault} role="alert">
            {t(`fault.${fault}`, { count: settings?.maxDays ?? 0 })}
          </span>
        )}
      </div>
      <Checkbox checked={untilFix} onChange={(e) => setUntilFix(e.target.checked)}>
        {t('untilFix')}
      </Checkbox>
    </fieldset>
  )
}
