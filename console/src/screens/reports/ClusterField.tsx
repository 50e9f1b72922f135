import { Select } from 'antd'
import { useTranslation } from 'react-i18next'

import css from './reports.module.css'
import { api } from '../../api/client'

type Props = { id: string; value: string[]; onChange: (value: string[]) => void; hint: string }

// ClusterField chooses the clusters of a report; none is all that its owner may see.
export function ClusterField({ id, value, onChange, hint }: Props) {
  const { t } = useTranslation('reports')
  const query = api.useQuery('get', '/api/v1/clusters', { params: { query: { limit: 500 } } })
  const known = (query.data?.items ?? []).map((c) => ({ value: c.id, label: c.name }))
  const gone = value.filter((v) => query.data && !known.some((k) => k.value === v)).map((v) => ({ value: v, label: `#${v}` }))
  return (
    <div>
      <label className={css.label} htmlFor={id}>
        {t('clusters')}
      </label>
      <Select
        id={id}
        aria-label={t('clusters')}
        mode="multiple"
        value={value}
        onChange={onChange}
        loading={query.isPending}
        options={[...known, ...gone]}
        showSearch={{ optionFilterProp: 'label' }}
        placeholder={t('allClusters')}
        style={{ width: '100%' }}
      />
      <p className={css.soft}>{hint}</p>
    </div>
  )
}
