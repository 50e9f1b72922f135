import { useQueryClient } from '@tanstack/react-query'
import { useNavigate } from '@tanstack/react-router'

import { api } from '../../api/client'

// useDemo adds the demo cluster and goes to its first scan, or to the cluster when it was there.
export function useDemo(): { add: () => void; busy: boolean; error: unknown } {
  const navigate = useNavigate()
  const client = useQueryClient()
  const adding = api.useMutation('post', '/api/v1/clusters/demo', {
    onSuccess: (cluster) => {
      void client.invalidateQueries()
      if (cluster.taskId) void navigate({ to: '/tasks/$id', params: { id: cluster.taskId } })
      else void navigate({ to: '/clusters/$id', params: { id: cluster.id } })
    },
  })
  return { add: () => adding.mutate({}), busy: adding.isPending, error: adding.error }
}
