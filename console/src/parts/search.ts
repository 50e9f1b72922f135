// What a list shows stands in the URL: filters, sort, tab, open row. Values are plain words; lists have commas.
import { useNavigate, useSearch } from '@tanstack/react-router'
import { useCallback } from 'react'

export type Search = Record<string, string | undefined>
export type Change = Record<string, string | string[] | number | boolean | undefined | null>

// changed gives a search with some values changed; empty ones leave the URL.
export function changed(old: Search, change: Change): Search {
  const out: Search = { ...old }
  for (const [key, value] of Object.entries(change)) {
    const text = Array.isArray(value) ? value.join(',') : value === true ? 'true' : value === undefined || value === null || value === false ? '' : String(value)
    if (text === '') delete out[key]
    else out[key] = text
  }
  return out
}

// useUrl gives the search of the URL and how to change it. A change is a step back in the browser; with replace it is none
// (typing in a search box).
export function useUrl(): [Search, (change: Change, replace?: boolean) => void] {
  const search = useSearch({ strict: false }) as Search
  const navigate = useNavigate()
  const set = useCallback(
    (change: Change, replace = false) => {
      void navigate({ to: '.', search: (old: Search) => changed(old, change), replace, resetScroll: false })
    },
    [navigate],
  )
  return [search, set]
}

// listOf reads a list of the URL.
export function listOf(text: string | undefined): string[] {
  return text ? text.split(',').filter(Boolean) : []
}
