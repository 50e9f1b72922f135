// What a user chose, kept by the server for all of their browsers: columns, saved views, theme, time zone.
import { useQueryClient } from '@tanstack/react-query'
import { useCallback } from 'react'

import { api, call } from '../api/client'

const path = '/api/v1/session/preferences'
const mine = { predicate: (q: { queryKey: readonly unknown[] }) => q.queryKey[1] === path }

// usePreference gives a value and how to change it. Until the server answers, and when nothing was chosen, it is the fallback.
export function usePreference<T>(key: string, fallback: T): [T, (value: T) => void] {
  const client = useQueryClient()
  const { data } = api.useQuery('get', path, undefined, { staleTime: Infinity })
  const all = data?.items as Record<string, unknown> | undefined
  const set = useCallback(
    (value: T) => {
      const change = async () => {
        // An answer that is on its way knows nothing of the change yet.
        await client.cancelQueries(mine)
        client.setQueriesData<{ items: Record<string, unknown> }>(mine, (old) => ({ items: { ...old?.items, [key]: value } }))
        await call.PUT('/api/v1/session/preferences/{key}', { params: { path: { key } }, body: value as never })
      }
      // What the server did not take is shown as it was.
      void change().catch(() => undefined).finally(() => client.invalidateQueries(mine))
    },
    [client, key],
  )
  return [all && key in all ? (all[key] as T) : fallback, set]
}
