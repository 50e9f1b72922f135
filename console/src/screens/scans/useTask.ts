import { useQueryClient } from '@tanstack/react-query'
import { useEffect, useRef, useState } from 'react'

import type { Progress } from './progress'
import { api } from '../../api/client'
import { useEvents } from '../../app/live'

// useTask reads a task and follows it: how far its items are comes with the events at once, the rest is read again when something
// ended, at most every two seconds.
export function useTask(id: string) {
  const task = api.useQuery('get', '/api/v1/tasks/{id}', { params: { path: { id: Number(id) } } })
  const [progress, setProgress] = useState<Record<string, Progress>>({})
  const client = useQueryClient()
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined)
  useEvents(['task'], (change) => {
    if (change.topic !== 'lost' && change.id !== id) return
    const body = change.body as { itemId?: string; progress?: Progress } | undefined
    if (body?.itemId && body.progress) setProgress((old) => ({ ...old, [body.itemId!]: body.progress! }))
    timer.current ??= setTimeout(() => {
      timer.current = undefined
      void client.invalidateQueries({ predicate: (q) => String(q.queryKey[1]).startsWith('/api/v1/tasks/{id}') && JSON.stringify(q.queryKey[2]).includes(`"id":${id}`) })
    }, 2000)
  })
  useEffect(() => () => clearTimeout(timer.current), [])
  return { task, progress }
}
