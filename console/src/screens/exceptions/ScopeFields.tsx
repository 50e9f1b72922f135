import { Input, Select } from 'antd'
import { useTranslation } from 'react-i18next'

import { scopeFields, type Draft } from './choices'
import css from './Exceptions.module.css'
import { api } from '../../api/client'

const offered = scopeFields.filter((f) => f !== 'fingerprint')

// ScopeFields are the single fields of a scope; every one that is filled in must match.
export function ScopeFields({ draft, change }: { draft: Draft; change: (d: Draft) => void }) {
  const { t } = useTranslation('exceptions')
  const clusters = api.useQuery('get', '/api/v1/assets', { params: { query: { kind: 'cluster', limit: 200, sort: 'name' } } })
  return (
    <div className={css.fields}>
      <label>
        {t('field.cluster')}
        <Select
          allowClear
          aria-label={t('field.cluster')}
          placeholder={t('allClusters')}
          value={draft.targetId}
          onChange={(targetId?: string) => change({ ...draft, targetId })}
          options={(clusters.data?.items ?? []).map((c) => ({ value: c.targetId, label: c.name }))}
          showSearch={{ optionFilterProp: 'label' }}
          style={{ width: '100%' }}
        />
      </label>
      {offered.map((field) => (
        <label key={field}>
          {t(`field.${field}`)}
          <Input
            value={draft.scope[field] ?? ''}
            maxLength={500}
            placeholder={t(`example.${field}`)}
            onChange={(e) => {
              const scope = { ...draft.scope, [field]: e.target.value }
              if (!e.target.value) delete scope[field]
              change({ ...draft, scope })
            }}
          />
        </label>
      ))}
      <p className={css.hint}>{t('fieldsHint')}</p>
    </div>
  )
}
