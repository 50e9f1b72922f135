import { Radio } from 'antd'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'

import css from './compliance.module.css'
import { call } from '../../api/client'
import { DownloadButton } from '../../parts/Download'
import { useFormat } from '../../text/format'

type Props = { framework: string; target: number[] | undefined; clusters: string[] }

const forms = ['html', 'csv', 'json'] as const

// ExportTab writes the framework for an auditor.
export function ExportTab({ framework, target, clusters }: Props) {
  const { t, i18n } = useTranslation('compliance')
  const { list } = useFormat()
  const [form, setForm] = useState<(typeof forms)[number]>('html')
  const [lang, setLang] = useState<'en' | 'zh'>(i18n.language === 'zh' ? 'zh' : 'en')
  return (
    <div className={`${css.card} ${css.form}`} style={{ maxWidth: 720 }}>
      <p>{t('exportLead')}</p>
      <fieldset>
        <legend>{t('form')}</legend>
        <Radio.Group value={form} onChange={(e) => setForm(e.target.value as (typeof forms)[number])} options={forms.map((f) => ({ value: f, label: t(`forms.${f}`) }))} />
      </fieldset>
      <fieldset>
        <legend>{t('language')}</legend>
        <Radio.Group
          value={lang}
          onChange={(e) => setLang(e.target.value as 'en' | 'zh')}
          options={[
            { value: 'en', label: 'English' },
            { value: 'zh', label: '简体中文' },
          ]}
        />
      </fieldset>
      <p className={css.soft}>{clusters.length > 0 ? t('exportScope', { names: list(clusters.length > 10 ? [...clusters.slice(0, 10), '…'] : clusters) }) : t('exportNothing')}</p>
      <DownloadButton
        primary
        label={t('download')}
        name={`${framework}.${form}`}
        get={(signal) => call.GET('/api/v1/compliance/{framework}/export', { params: { path: { framework }, query: { target, form, lang } }, parseAs: 'stream', signal })}
      />
    </div>
  )
}
