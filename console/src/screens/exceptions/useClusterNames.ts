import { api } from '../../api/client'

// useTargetName names clusters and projects by id, as far as the list of them goes.
export function useTargetName(): (id: string | undefined) => string | undefined {
  const clusters = api.useQuery('get', '/api/v1/assets', { params: { query: { kind: 'cluster', limit: 200, sort: 'name' } } }, { staleTime: 60_000 })
  return (id) => {
    if (!id || id === '0') return undefined
    return clusters.data?.items.find((c) => c.targetId === id)?.name ?? `#${id}`
  }
}
