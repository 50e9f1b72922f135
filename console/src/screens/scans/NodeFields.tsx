import { Select } from 'antd'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'

import type { NodeOf } from './what'
import { api } from '../../api/client'

const keyOf = (n: NodeOf) => `${n.clusterId} ${n.name}`

// NodeFields choose single nodes by name. Those without an agent that answers are told apart: nothing would be read on them.
export function NodeFields({ id, value, onChange }: { id: string; value: NodeOf[]; onChange: (nodes: NodeOf[]) => void }) {
  const { t } = useTranslation('scans')
  const { t: node } = useTranslation('nodes')
  const [search, setSearch] = useState('')
  const found = api.useQuery('get', '/api/v1/nodes', { params: { query: { q: search || undefined, limit: 50 } } }, { placeholderData: (old) => old })
  const options = (found.data?.items ?? []).map((n) => {
    const lives = n.state === 'protected' || n.state === 'paused' || n.state === 'degraded'
    return { value: keyOf({ clusterId: n.targetId, name: n.name }), label: `${n.name} · ${n.cluster}${lives ? '' : ` · ${node(`state.${n.state}`)}`}`, disabled: n.state === 'never' || n.state === 'unsupported' }
  })
  const known = new Set(options.map((o) => o.value))
  const kept = value.filter((n) => !known.has(keyOf(n))).map((n) => ({ value: keyOf(n), label: n.name, disabled: false }))
  const of = (key: string): NodeOf => ({ clusterId: key.slice(0, key.indexOf(' ')), name: key.slice(key.indexOf(' ') + 1) })
  return (
    <>
      <Select
        id={id}
        mode="multiple"
        aria-label={t('nodes')}
        placeholder={t('chooseNodes')}
        value={value.map(keyOf)}
        options={[...kept, ...options]}
        loading={found.isFetching}
        showSearch={{ onSearch: setSearch, filterOption: false, searchValue: search }}
        onChange={(keys: string[]) => onChange(keys.map(of))}
        style={{ width: '100%' }}
      />
      <span className="text-soft">{t('nodesNeedAgents')}</span>
    </>
  )
}
