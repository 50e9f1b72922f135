import { Radio, Select } from 'antd'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'

import { NodeFields } from './NodeFields'
import type { What } from './what'
import css from './scans.module.css'
import { api } from '../../api/client'
import { rolesThat, useProfile, type Action } from '../../app/session'

type Props = { id: string; what: What; onChange: (what: What) => void; action: Action; nodes?: boolean } // nodes: single ones can be chosen

// useEverywhere reports whether the user may do something on every cluster, those to come too.
export function useEverywhere(action: Action): boolean {
  const profile = useProfile()
  return profile.actions.includes(action) && profile.grants.some((g) => rolesThat(action).includes(g.role) && (!g.targetId || g.targetId === '0'))
}

// TargetFields choose the clusters: all, or some by name; or single nodes.
export function TargetFields({ id, what, onChange, action, nodes }: Props) {
  const { t } = useTranslation('scans')
  const everywhere = useEverywhere(action)
  const [search, setSearch] = useState('')
  const { data, isFetching } = api.useQuery('get', '/api/v1/clusters', { params: { query: { limit: 50, search: search || undefined } } })
  const chosen = api.useQuery('get', '/api/v1/clusters', { params: { query: { limit: 500 } } }, { enabled: what.clusters.length > 0 })
  const known = new Map([...(chosen.data?.items ?? []), ...(data?.items ?? [])].map((c) => [c.id, c.name]))
  const options = [...known].map(([value, label]) => ({ value, label }))
  return (
    <div className={css.stack}>
      <Radio.Group
        value={what.nodes ? 'nodes' : what.all ? 'all' : 'some'}
        onChange={(e) => onChange({ ...what, all: e.target.value === 'all', nodes: e.target.value === 'nodes' ? [] : undefined })}
        aria-label={t('where')}
      >
        {everywhere && <Radio value="all">{t('allClusters')}</Radio>}
        <Radio value="some">{t('someClusters')}</Radio>
        {nodes && <Radio value="nodes">{t('someNodes')}</Radio>}
      </Radio.Group>
      {what.nodes && <NodeFields id={id} value={what.nodes} onChange={(list) => onChange({ ...what, nodes: list })} />}
      {!what.all && !what.nodes && (
        <Select
          id={id}
          mode="multiple"
          aria-label={t('clusters')}
          placeholder={t('chooseClusters')}
          value={what.clusters}
          options={options}
          loading={isFetching}
          showSearch={{ onSearch: setSearch, filterOption: false, searchValue: search }}
          onChange={(clusters: string[]) => onChange({ ...what, clusters })}
          style={{ width: '100%' }}
        />
      )}
    </div>
  )
}
