import type { Details } from './shapes'
import { api, Failed } from '../../api/client'
import { missing } from '../../text/format'

// useFacts reads what the agent read on a node; nothing is asked of a node that never reported.
export function useFacts(n: Pick<Details, 'id' | 'factsAt'>) {
  const query = api.useQuery('get', '/api/v1/nodes/{id}/facts', { params: { path: { id: Number(n.id) } } }, { enabled: !missing(n.factsAt), staleTime: 60_000 })
  const none = missing(n.factsAt) || (query.error instanceof Failed && query.error.status === 404)
  return { ...query, none }
}
