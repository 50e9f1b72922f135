import { useMemo } from 'react'

import { api } from '../../api/client'

export type Cluster = { id: string; name: string }

// useClusters are the clusters that the user sees, and the name of each by its id.
export function useClusters() {
  const query = api.useQuery('get', '/api/v1/clusters', { params: { query: { limit: 500 } } }, { staleTime: 60_000 })
  const list = useMemo<Cluster[]>(() => (query.data?.items ?? []).map((c) => ({ id: c.id, name: c.name })), [query.data])
  const name = useMemo(() => {
    const names = new Map(list.map((c) => [c.id, c.name]))
    return (id: string) => names.get(id) ?? id
  }, [list])
  return { list, name, query }
}
