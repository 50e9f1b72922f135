// The tabs of the list of exceptions, and what they ask the API for.
import type { Search } from '../../parts/search'

export const statuses = ['pending', 'approved', 'denied', 'canceled', 'expired', 'ended-by-fix'] as const
export type Status = (typeof statuses)[number]

export const tabs = ['pending', 'approved', 'denied', 'ended', 'all'] as const
export type Tab = (typeof tabs)[number]

const of: Record<Tab, Status[]> = { pending: ['pending'], approved: ['approved'], denied: ['denied'], ended: ['canceled', 'expired', 'ended-by-fix'], all: [] }

export function tabOf(search: Search): Tab {
  return tabs.find((t) => t === search.tab) ?? 'pending'
}

export function countOf(tab: Tab, counts: Record<string, number> | undefined): number {
  const list: readonly Status[] = tab === 'all' ? statuses : of[tab]
  return list.reduce<number>((sum, s) => sum + (counts?.[s] ?? 0), 0)
}

// soonDays is what "ending soon" means.
export const soonDays = 30

export function queryOf(search: Search) {
  const tab = tabOf(search)
  const targets = (search.target ?? '').split(',').filter((t) => /^[1-9][0-9]{0,14}$/.test(t))
  return {
    status: of[tab].length > 0 ? of[tab] : undefined,
    target: targets.length === 1 ? Number(targets[0]) : undefined,
    q: search.q,
    unused: search.unused === 'true' || undefined,
    ending: search.ending === 'true' ? soonDays : undefined,
    sort: search.sort === 'end' ? ('end' as const) : ('new' as const),
  }
}

// wide reports whether the scope bar names more clusters than the list can be narrowed to.
export function wide(search: Search): boolean {
  return (search.target ?? '').includes(',')
}
