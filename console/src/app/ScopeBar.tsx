import { Select } from 'antd'
import { useEffect, useRef, useState } from 'react'
import { useTranslation } from 'react-i18next'

import { usePreference } from './preference'
import { numbers, useScope } from './scope'
import css from './Shell.module.css'
import { api } from '../api/client'

// scoped are the pages that follow the scope.
const scoped = [/^\/$/, /^\/risks$/, /^\/assets\/[a-z]+$/, /^\/gaps$/, /^\/attack-paths$/, /^\/images$/, /^\/compliance(\/[^/]+)?$/, /^\/exceptions$/]

// ScopeBar chooses the clusters and namespaces that a page is about.
export function ScopeBar({ path }: { path: string }) {
  useStandard(scoped.some((s) => s.test(path)))
  return scoped.some((s) => s.test(path)) ? <Bar /> : null
}

// useStandard puts the user's standard scope into the first address of a visit that names none. Whoever clears it is not asked again.
function useStandard(here: boolean) {
  const [standard] = usePreference<string[]>('scope.default', none)
  const [scope, setScope] = useScope()
  const done = useRef(false)
  const chosen = scope.target.length > 0
  useEffect(() => {
    if (chosen) done.current = true
    if (done.current || !here || standard.length === 0) return
    done.current = true
    setScope({ target: standard, namespace: [] })
  }, [chosen, here, standard, setScope])
}

const none: string[] = []

function Bar() {
  const { t } = useTranslation('app')
  const [scope, setScope] = useScope()
  const [search, setSearch] = useState('')
  const clusters = api.useQuery('get', '/api/v1/assets', { params: { query: { kind: 'cluster', limit: 200, sort: 'name' } } })
  const namespaces = api.useQuery(
    'get',
    '/api/v1/assets',
    { params: { query: { kind: 'namespace', target: numbers(scope.target), q: search || undefined, limit: 200, sort: 'name' } } },
    { enabled: scope.target.length > 0 },
  )
  const targets = (clusters.data?.items ?? []).map((c) => ({ value: c.targetId, label: c.name }))
  const names = [...new Set([...scope.namespace, ...(namespaces.data?.items ?? []).map((n) => n.name)])]
  return (
    <div className={css.scope} role="group" aria-label={t('scope')}>
      <Select
        mode="multiple"
        allowClear
        aria-label={t('clusters')}
        placeholder={t('allClusters')}
        value={scope.target}
        options={targets}
        loading={clusters.isPending}
        onChange={(target) => setScope({ target, namespace: target.length > 0 ? scope.namespace : [] })}
        showSearch={{ optionFilterProp: 'label' }}
        maxTagCount={2}
        style={{ minWidth: 200, maxWidth: '100%' }}
      />
      <Select
        mode="multiple"
        allowClear
        disabled={scope.target.length === 0 && scope.namespace.length === 0}
        aria-label={t('namespaces')}
        placeholder={scope.target.length === 0 ? t('namespacesFirst') : t('allNamespaces')}
        value={scope.namespace}
        options={names.map((name) => ({ value: name, label: name }))}
        onChange={(namespace) => setScope({ ...scope, namespace })}
        showSearch={{ filterOption: false, onSearch: setSearch }}
        maxTagCount={2}
        style={{ minWidth: 220, maxWidth: '100%' }}
      />
    </div>
  )
}
