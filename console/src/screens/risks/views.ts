// Saved views: a name and the search of the URL. They are kept by the server for the user.
import type { Search } from '../../parts/search'

export type SavedView = { name: string; search: Record<string, string> }
export type Views = { list: SavedView[]; first?: string } // first: the one that /risks opens with

export const noViews: Views = { list: [] }
export const maxViews = 50

// kept is what of the URL belongs to a view: not the finding that is open just now.
export function kept(search: Search): Record<string, string> {
  return Object.fromEntries(Object.entries(search).flatMap(([k, v]) => (v && k !== 'open' ? [[k, v]] : [])))
}

export function saved(v: Views, name: string, search: Search): Views {
  const one = { name: name.trim(), search: kept(search) }
  const at = v.list.findIndex((x) => x.name === one.name)
  return { ...v, list: at < 0 ? [...v.list, one].slice(-maxViews) : v.list.map((x, i) => (i === at ? one : x)) }
}

export function removed(v: Views, name: string): Views {
  return { list: v.list.filter((x) => x.name !== name), ...(v.first && v.first !== name ? { first: v.first } : {}) }
}

export function preferred(v: Views, name: string): Views {
  return v.first === name ? { list: v.list } : { ...v, first: name }
}

// current is the view that the URL shows.
export function current(v: Views, search: Search): SavedView | undefined {
  const now = JSON.stringify(Object.entries(kept(search)).sort())
  return v.list.find((x) => JSON.stringify(Object.entries(x.search).sort()) === now)
}

// checked reads what the server has kept; it may be of an older console.
export function checked(value: unknown): Views {
  const v = value as Partial<Views> | null
  if (!v || !Array.isArray(v.list)) return noViews
  const list = v.list.filter((x) => typeof x?.name === 'string' && typeof x.search === 'object' && x.search !== null)
  return list.some((x) => x.name === v.first) ? { list, first: v.first } : { list }
}
