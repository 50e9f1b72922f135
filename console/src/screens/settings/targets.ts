import { api } from '../../api/client'

// useTargets lists the clusters and projects that one sees, to choose from, and names them.
export function useTargets() {
  const clusters = api.useQuery('get', '/api/v1/clusters', { params: { query: { limit: 500 } } })
  const options = (clusters.data?.items ?? []).map((c) => ({ value: c.id, label: c.name }))
  return { options, name: (id: string) => options.find((o) => o.value === id)?.label ?? `#${id}` }
}
