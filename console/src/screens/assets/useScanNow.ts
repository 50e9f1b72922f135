import { useQueryClient } from '@tanstack/react-query'
import { useNavigate } from '@tanstack/react-router'

import { api } from '../../api/client'
import { useMay } from '../../app/session'

// useScanNow starts a scan of one cluster for everything and goes to its progress.
export function useScanNow(): { start: (id: string, name: string) => void; busy: boolean; error: unknown; may: boolean } {
  const navigate = useNavigate()
  const client = useQueryClient()
  const may = useMay('scan')
  const task = api.useMutation('post', '/api/v1/tasks', {
    onSuccess: (t) => {
      void client.invalidateQueries()
      void navigate({ to: '/tasks/$id', params: { id: t.id } })
    },
  })
  return { start: (id, name) => task.mutate({ body: { name, clusterIds: [id] } }), busy: task.isPending, error: task.error, may }
}
