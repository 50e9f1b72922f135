import { Button, Form, Input, InputNumber, Radio, Select, Switch } from 'antd'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'

import { ClusterField } from './ClusterField'
import { LanguageField } from './LanguageField'
import { filterFor, fitting, frameworkForms, reportFilter, reportForms, viewOf, type Report, type What } from './model'
import { useReportsChanged } from './ReportActions'
import css from './reports.module.css'
import { useViews } from './useViews'
import { ownFilter, WhatFields } from './WhatFields'
import { api } from '../../api/client'
import { useScope } from '../../app/scope'
import { Problem } from '../../parts/Problem'
import { SlideOver } from '../../parts/SlideOver'
import { cronOf, nightly, timesOf, type Times } from '../scans/cron'
import { NextRuns } from '../scans/NextRuns'
import { TimesFields } from '../scans/TimesFields'

const weekly: Times = { ...nightly, mode: 'weekly', hour: 6, minute: 0, days: [1] }

// ReportForm adds or changes a report. What was typed stays when the server refuses.
export function ReportForm({ report, onClose }: { report?: Report; onClose: () => void }) {
  const { t, i18n } = useTranslation('reports')
  const views = useViews()
  const [scope] = useScope()
  const changed = useReportsChanged()
  const before = report && !report.framework ? viewOf(report.filter, views) : ''
  const [name, setName] = useState(report?.name ?? '')
  const [what, setWhat] = useState<What>(report?.framework ? 'compliance' : 'findings')
  const [view, setView] = useState(before ?? ownFilter)
  const [framework, setFramework] = useState(report?.framework ?? '')
  const [targets, setTargets] = useState<string[]>(report ? (report.filter.targets ?? []).map(String) : scope.target)
  const [form, setForm] = useState<string>(report?.form ?? 'html')
  const [lang, setLang] = useState<'en' | 'zh'>(report?.language ?? (i18n.language === 'zh' ? 'zh' : 'en'))
  const [byTime, setByTime] = useState(report ? report.cron !== '' : true)
  const [times, setTimes] = useState<Times>(report?.cron ? timesOf(report.cron) : weekly)
  const [zone, setZone] = useState(report?.zone ?? Intl.DateTimeFormat().resolvedOptions().timeZone ?? 'UTC')
  const [channels, setChannels] = useState<string[]>(report?.channels ?? [])
  const [keep, setKeep] = useState(report?.keep ?? 10)
  const [enabled, setEnabled] = useState(report?.enabled ?? true)
  const known = api.useQuery('get', '/api/v1/channels')
  const done = {
    onSuccess: () => {
      void changed()
      onClose()
    },
  }
  const add = api.useMutation('post', '/api/v1/reports', done)
  const change = api.useMutation('put', '/api/v1/reports/{id}', done)
  const error = add.error ?? change.error
  const forms = what === 'findings' ? reportForms : frameworkForms
  const cron = byTime ? cronOf(times) : ''
  const ready = name.trim() !== '' && (what === 'findings' || framework !== '') && (!byTime || cron !== '')
  const save = () => {
    const some = targets.map(Number)
    const findings = () => {
      if (view === ownFilter && report) return { ...report.filter, targets: some.length > 0 ? some : undefined }
      const search: Record<string, string> = { ...views.find((v) => v.name === view)?.search }
      if (targets.length > 0) delete search.target
      return reportFilter(filterFor(search, targets))
    }
    const body = {
      name: name.trim(),
      filter: what === 'findings' ? findings() : some.length > 0 ? { targets: some } : {},
      ...(what === 'compliance' ? { framework } : {}),
      form: fitting(form, forms),
      language: lang,
      cron,
      zone,
      channels,
      keep,
      enabled,
    }
    if (report) change.mutate({ params: { path: { id: Number(report.id) } }, body })
    else add.mutate({ body })
  }
  return (
    <SlideOver
      open
      onClose={onClose}
      title={report ? t('changeTitle', { name: report.name }) : t('addTitle')}
      footer={
        <div className={css.row}>
          <Button type="primary" disabled={!ready} loading={add.isPending || change.isPending} onClick={save}>
            {t('save')}
          </Button>
          <Button onClick={onClose}>{t('cancel')}</Button>
        </div>
      }
    >
      <Form layout="vertical" component={false}>
        <div className={css.form}>
          {error && <Problem error={error} />}
          <div>
            <label className={css.label} htmlFor="report-name">
              {t('name')}
            </label>
            <Input id="report-name" value={name} maxLength={100} required onChange={(e) => setName(e.target.value)} />
          </div>
          <WhatFields
            id="report"
            what={what}
            view={view}
            framework={framework}
            own={before === undefined ? t('ownFilter') : undefined}
            onChange={(c) => {
              if (c.what) setWhat(c.what)
              if (c.view !== undefined) setView(c.view)
              if (c.framework !== undefined) setFramework(c.framework)
            }}
          />
          <ClusterField id="report-clusters" value={targets} onChange={setTargets} hint={what === 'findings' && view !== '' && view !== ownFilter ? t('clustersOfView') : t('clustersAll')} />
          <fieldset>
            <legend>{t('form')}</legend>
            <Radio.Group value={fitting(form, forms)} onChange={(e) => setForm(e.target.value as string)} options={forms.map((f) => ({ value: f, label: t(`forms.${f}`) }))} />
          </fieldset>
          <LanguageField value={lang} onChange={setLang} />
          <fieldset>
            <legend>{t('schedule')}</legend>
            <Radio.Group
              value={byTime}
              onChange={(e) => setByTime(e.target.value as boolean)}
              options={[
                { value: true, label: t('byTime') },
                { value: false, label: t('onlyAsked') },
              ]}
            />
          </fieldset>
          {byTime && (
            <div>
              <TimesFields times={times} zone={zone} onTimes={setTimes} onZone={setZone} />
              <NextRuns cron={cron} zone={zone} />
            </div>
          )}
          <div>
            <label className={css.label} htmlFor="report-channels">
              {t('channels')}
            </label>
            <Select
              id="report-channels"
              aria-label={t('channels')}
              mode="multiple"
              value={channels}
              onChange={setChannels}
              loading={known.isPending}
              options={(known.data?.items ?? []).map((c) => ({ value: c.id, label: `${c.name} (${c.kind})` }))}
              placeholder={t('noChannels')}
              style={{ width: '100%' }}
            />
            <p className={css.soft}>{t('channelsHint')}</p>
          </div>
          <div>
            <label className={css.label} htmlFor="report-keep">
              {t('keep')}
            </label>
            <InputNumber id="report-keep" min={1} max={50} value={keep} onChange={(n) => setKeep(n ?? 10)} />
          </div>
          <div className={css.row}>
            <Switch id="report-enabled" checked={enabled} onChange={setEnabled} aria-label={t('enabled')} />
            <label htmlFor="report-enabled">{t('enabled')}</label>
          </div>
        </div>
      </Form>
    </SlideOver>
  )
}
