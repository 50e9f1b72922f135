import { Link } from '@tanstack/react-router'
import { Radio } from 'antd'
import { useTranslation } from 'react-i18next'

import { ClusterField } from './ClusterField'
import { LanguageField } from './LanguageField'
import { exportForms, filterFor, fitting, frameworkForms, whats } from './model'
import css from './reports.module.css'
import { useViews } from './useViews'
import { WhatFields } from './WhatFields'
import { api, call } from '../../api/client'
import { numbers, useScope } from '../../app/scope'
import { DownloadButton } from '../../parts/Download'
import { Panel } from '../../parts/Page'
import { useUrl } from '../../parts/search'
import { useFormat } from '../../text/format'
import { queryOf, searchOf } from '../risks/filter'

// ExportPanel writes one file now. What was chosen stands in the URL.
export function ExportPanel() {
  const { t, i18n } = useTranslation('reports')
  const { number } = useFormat()
  const [search, setSearch] = useUrl()
  const [scope] = useScope()
  const views = useViews()
  const what = whats.find((w) => w === search.what) ?? 'findings'
  const view = views.find((v) => v.name === search.saved)
  const filter = filterFor(view?.search, scope.target)
  const lang = search.lang === 'en' || search.lang === 'zh' ? search.lang : i18n.language === 'zh' ? 'zh' : 'en'
  const form = fitting(search.form, what === 'findings' ? exportForms : frameworkForms)
  const framework = search.framework ?? ''
  const count = api.useQuery('get', '/api/v1/findings', { params: { query: { ...queryOf(filter), limit: 1 } } }, { enabled: what === 'findings' })
  const target = numbers(scope.target)
  return (
    <Panel title={t('exportTitle')}>
      <div className={css.form}>
        <WhatFields id="export" what={what} view={view?.name ?? ''} framework={framework} onChange={(c) => setSearch({ what: c.what, saved: c.view, framework: c.framework, ...(c.what ? {} : { what }) }, true)} />
        <ClusterField id="export-clusters" value={scope.target} onChange={(target) => setSearch({ target, what }, true)} hint={what === 'findings' ? (view?.search.target ? t('clustersOfView') : t('clustersYouSee')) : t('frameworkHint')} />
        <fieldset>
          <legend>{t('form')}</legend>
          <Radio.Group value={form} onChange={(e) => setSearch({ form: e.target.value as string }, true)} options={(what === 'findings' ? exportForms : frameworkForms).map((f) => ({ value: f, label: t(`forms.${f}`) }))} />
        </fieldset>
        <LanguageField value={lang} onChange={(l) => setSearch({ lang: l }, true)} />
        {what === 'findings' ? (
          <>
            <p role="status" style={{ minHeight: 22 }}>
              {count.data && (
                <Link to="/risks" search={{ ...searchOf(filter), view: 'findings' }}>
                  {count.data.totalIsAtLeast ? t('atLeast', { number: number(count.data.total) }) : t('findings', { count: count.data.total, number: number(count.data.total) })}
                </Link>
              )}
            </p>
            <DownloadButton
              primary
              label={t('download')}
              name={`findings.${form}`}
              get={(signal) => call.GET('/api/v1/findings/export', { params: { query: { ...queryOf(filter), form, lang } }, parseAs: 'stream', signal })}
            />
          </>
        ) : (
          <DownloadButton
            primary
            label={t('download')}
            name={`${framework}.${form}`}
            disabled={!framework}
            get={(signal) => call.GET('/api/v1/compliance/{framework}/export', { params: { path: { framework }, query: { target, form: fitting(form, frameworkForms), lang } }, parseAs: 'stream', signal })}
          />
        )}
      </div>
    </Panel>
  )
}
