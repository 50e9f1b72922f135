import { Button, Form, Input, Switch } from 'antd'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'

import { BudgetFields } from './BudgetFields'
import { cronOf, nightly, timesOf, type Times } from './cron'
import { NextRuns } from './NextRuns'
import { PartFields } from './PartFields'
import { TargetFields, useEverywhere } from './TargetFields'
import { TimesFields } from './TimesFields'
import { bodyOf, complete, everything, whatOf, type What } from './what'
import css from './scans.module.css'
import { api, type Schemas } from '../../api/client'
import { Problem } from '../../parts/Problem'
import { SlideOver } from '../../parts/SlideOver'

type Props = { schedule?: Schemas['Schedule']; onClose: () => void; onSaved: () => void }

// ScheduleForm adds or changes a schedule. What was typed stays when the server refuses.
export function ScheduleForm({ schedule, onClose, onSaved }: Props) {
  const { t } = useTranslation('scans')
  const everywhere = useEverywhere('manage-schedules')
  const [name, setName] = useState(schedule?.name ?? '')
  const [times, setTimes] = useState<Times>(schedule ? timesOf(schedule.cron) : nightly)
  const [zone, setZone] = useState(schedule?.timeZone ?? Intl.DateTimeFormat().resolvedOptions().timeZone ?? 'UTC')
  const [enabled, setEnabled] = useState(schedule?.enabled ?? true)
  const [what, setWhat] = useState<What>(schedule ? whatOf(schedule) : { ...everything, all: everywhere })
  const done = {
    onSuccess: () => {
      onSaved()
      onClose()
    },
  }
  const add = api.useMutation('post', '/api/v1/schedules', done)
  const change = api.useMutation('put', '/api/v1/schedules/{id}', done)
  const cron = cronOf(times)
  const ready = name.trim() !== '' && cron !== '' && complete(what)
  const save = () => {
    const body = { name: name.trim(), cron, timeZone: zone, enabled, ...bodyOf(what) }
    if (schedule) change.mutate({ params: { path: { id: Number(schedule.id) } }, body })
    else add.mutate({ body })
  }
  const error = add.error ?? change.error
  return (
    <SlideOver
      open
      onClose={onClose}
      title={schedule ? t('changeSchedule', { name: schedule.name }) : t('addSchedule')}
      footer={
        <div className={css.row}>
          <Button type="primary" disabled={!ready} loading={add.isPending || change.isPending} onClick={save}>
            {t('save')}
          </Button>
          <Button onClick={onClose}>{t('cancelForm')}</Button>
        </div>
      }
    >
      <Form layout="vertical" component={false}>
        {error ? <Problem error={error} /> : null}
        <Form.Item label={t('name')} htmlFor="schedule-name" required>
          <Input id="schedule-name" value={name} maxLength={200} onChange={(e) => setName(e.target.value)} />
        </Form.Item>
        <TimesFields times={times} zone={zone} onTimes={setTimes} onZone={setZone} />
        <NextRuns cron={cron} zone={zone} />
        <Form.Item label={t('enabled')} htmlFor="schedule-enabled">
          <Switch id="schedule-enabled" checked={enabled} onChange={setEnabled} />
        </Form.Item>
        <Form.Item label={t('where')} htmlFor="schedule-clusters">
          <TargetFields id="schedule-clusters" what={what} onChange={setWhat} action="manage-schedules" />
        </Form.Item>
        <Form.Item label={t('items')}>
          <PartFields value={what.parts} onChange={(parts) => setWhat({ ...what, parts })} />
        </Form.Item>
        <details>
          <summary>{t('bounds')}</summary>
          <BudgetFields value={what.budget} onChange={(budget) => setWhat({ ...what, budget })} />
        </details>
      </Form>
    </SlideOver>
  )
}
