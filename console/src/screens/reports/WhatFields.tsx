import { Radio, Select } from 'antd'
import { useTranslation } from 'react-i18next'

import { whats, type What } from './model'
import css from './reports.module.css'
import { useViews } from './useViews'
import { api } from '../../api/client'
import { compare } from '../compliance/model'

type Props = {
  id: string
  what: What
  view: string // name of a saved view; '' is all active findings
  framework: string
  own?: string // what stands for a filter that is of no view
  onChange: (change: { what?: What; view?: string; framework?: string }) => void
}

// ownFilter stands for the filter that a report has already.
export const ownFilter = '\u0000'

// WhatFields choose what is written: findings with the filter of a saved view, or a compliance framework.
export function WhatFields({ id, what, view, framework, own, onChange }: Props) {
  const { t } = useTranslation('reports')
  const views = useViews()
  const known = api.useQuery('get', '/api/v1/frameworks', undefined, { staleTime: Infinity })
  const frameworks = [...(known.data?.items ?? [])].sort(compare)
  return (
    <>
      <fieldset>
        <legend>{t('what')}</legend>
        <Radio.Group value={what} onChange={(e) => onChange({ what: e.target.value as What })} options={whats.map((w) => ({ value: w, label: t(`whats.${w}`) }))} />
      </fieldset>
      {what === 'findings' ? (
        <div>
          <label className={css.label} htmlFor={`${id}-view`}>
            {t('which')}
          </label>
          <Select
            id={`${id}-view`}
            aria-label={t('which')}
            value={view}
            onChange={(v: string) => onChange({ view: v })}
            options={[{ value: '', label: t('allActive') }, ...(own ? [{ value: ownFilter, label: own }] : []), ...views.map((v) => ({ value: v.name, label: t('savedView', { name: v.name }) }))]}
            style={{ width: '100%', maxWidth: 420 }}
          />
          {views.length === 0 && <p className={css.soft}>{t('noViews')}</p>}
        </div>
      ) : (
        <div>
          <label className={css.label} htmlFor={`${id}-framework`}>
            {t('framework')}
          </label>
          <Select
            id={`${id}-framework`}
            aria-label={t('framework')}
            value={framework || undefined}
            placeholder={t('chooseFramework')}
            onChange={(v: string) => onChange({ framework: v })}
            options={frameworks.map((f) => ({ value: f.framework, label: f.title }))}
            style={{ width: '100%', maxWidth: 420 }}
          />
        </div>
      )}
    </>
  )
}
