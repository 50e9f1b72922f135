// What a user chose, kept by the server for all of their browsers: columns, saved views, theme, time zone.
import { useQueryClient } from '@tanstack/react-query'
import { useCallback } from 'react'

import { api, call } from '../api/client'

const path = '/api/v1/session/preferences'

// usePreference gives a value and how to change it. Until the server answers, and when nothing was chosen, it is the fallback.
export function usePreference<T>(key: string, fallback: T): [T, (value: T) => void] {
  const client = useQueryClient()
  const { data } = api.useQuery('get', path, undefined, { staleTime: Infinity })
  const all = data?.items as Record<string, unknown> | undefined
  const set = useCallback(
    (value: T) => {
      client.setQueriesData<{ items: Record<string, unknown> }>({ predicate: (q) => q.queryKey[1] === path }, (old) => ({ items: { ...old?.items, [key]: value } }))
      void call.PUT('/api/v1/session/preferences/{key}', { params: { path: { key } }, body: value as never })
    },
    [client, key],
  )
  return [all && key in all ? (all[key] as T) : fallback, set]
}
