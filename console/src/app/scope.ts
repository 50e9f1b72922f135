// The scope bar's choice: clusters and namespaces. It stands in the URL, and links of the navigation keep it.
import { useNavigate, useSearch } from '@tanstack/react-router'
import { useCallback, useMemo } from 'react'

export type Scope = { target: string[]; namespace: string[] }

export function scopeOf(search: Record<string, string | undefined>): Scope {
  const list = (s: string | undefined) => (s ? s.split(',').filter(Boolean) : [])
  return { target: list(search.target), namespace: list(search.namespace) }
}

export function searchOf(scope: Scope): Record<string, string> {
  const out: Record<string, string> = {}
  if (scope.target.length > 0) out.target = scope.target.join(',')
  if (scope.namespace.length > 0) out.namespace = scope.namespace.join(',')
  return out
}

export function useScope(): [Scope, (scope: Scope) => void] {
  const search = useSearch({ strict: false }) as Record<string, string | undefined>
  const navigate = useNavigate()
  const scope = useMemo(() => scopeOf({ target: search.target, namespace: search.namespace }), [search.target, search.namespace])
  const set = useCallback(
    (next: Scope) => {
      void navigate({ to: '.', search: (old: Record<string, string | undefined>) => ({ ...old, target: undefined, namespace: undefined, ...searchOf(next) }) })
    },
    [navigate],
  )
  return [scope, set]
}

// numbers are ids as the API takes them in queries.
export function numbers(ids: string[]): number[] | undefined {
  const out = ids.map(Number).filter((n) => Number.isSafeInteger(n) && n > 0)
  return out.length > 0 ? out : undefined
}
