// What the palette offers: commands and found things as one list that the arrow keys go through.
import type { Schemas } from '../../api/client'

export type Kind = Schemas['SearchGroup']['kind']
export type Item = Schemas['SearchItem']

// Target is where an option leads: a page of the console.
export type Target = { to: string; search?: Record<string, string> }

export type Option = {
  id: string
  kind: Kind | 'command'
  title: string
  subtitle?: string
  severity?: string
  presence?: Item['presence']
  go?: Target // a page
  run?: () => void // something else
}

export type Group = { kind: Kind | 'command' | 'recent'; options: Option[] }

const path = (...parts: string[]) => '/' + parts.map(encodeURIComponent).join('/')

// targetOf is the page of a thing that was found.
export function targetOf(kind: Kind, item: Item): Target {
  switch (kind) {
    case 'cluster':
      return { to: path('clusters', item.id) }
    case 'namespace':
      return { to: path('assets', 'namespaces', item.id) }
    case 'workload':
      return { to: path('assets', 'workloads', item.id) }
    case 'node':
      return { to: path('assets', 'nodes', item.id) }
    case 'image':
      return item.digest ? { to: path('images', item.digest) } : { to: '/images', search: { q: item.title } }
    case 'vulnerability':
      return { to: path('vulnerabilities', item.id) }
    case 'rule':
      return { to: '/rules/' + item.id.split('/').map(encodeURIComponent).join('/') }
    case 'project':
      return { to: path('iac', item.id) }
  }
}

export function optionsOf(groups: Schemas['SearchGroup'][]): Group[] {
  return groups.map((group) => ({
    kind: group.kind,
    options: group.items.map((item) => ({
      id: `${group.kind}:${item.targetId ?? ''}:${item.id}`,
      kind: group.kind,
      title: item.title,
      subtitle: item.subtitle,
      severity: item.severity,
      presence: item.presence,
      go: targetOf(group.kind, item),
    })),
  }))
}

// matching are the options whose words begin with each word of a search.
export function matching(options: Option[], search: string): Option[] {
  const words = search.toLowerCase().split(/\s+/).filter(Boolean)
  return options.filter((o) => {
    const text = `${o.title} ${o.subtitle ?? ''}`.toLowerCase()
    const parts = text.split(/[\s/:·-]+/)
    return words.every((w) => parts.some((p) => p.startsWith(w)) || (/[^\x20-\x7e]/.test(w) && text.includes(w)))
  })
}

export type Recent = Pick<Option, 'id' | 'kind' | 'title' | 'subtitle' | 'go'>

const most = 8

// remember puts what was opened before what was opened earlier.
export function remember(recent: Recent[], option: Option): Recent[] {
  if (!option.go) return recent
  const { id, kind, title, subtitle, go } = option
  return [{ id, kind, title, subtitle, go }, ...recent.filter((r) => r.id !== id)].slice(0, most)
}

// readRecent takes what was kept only as far as it is what it should be: pages of the console.
export function readRecent(kept: unknown): Recent[] {
  if (!Array.isArray(kept)) return []
  return (kept as Partial<Recent>[])
    .filter((r): r is Recent => typeof r?.id === 'string' && typeof r.title === 'string' && typeof r.kind === 'string' && typeof r.go?.to === 'string' && /^\/(?!\/)/.test(r.go.to))
    .slice(0, most)
}

// step is the place of the option that a key leads to, around the ends.
export function step(at: number, count: number, key: string): number {
  if (count === 0) return -1
  switch (key) {
    case 'ArrowDown':
      return (at + 1) % count
    case 'ArrowUp':
      return (Math.max(at, 0) - 1 + count) % count
    case 'PageDown':
      return Math.min(at + 8, count - 1)
    case 'PageUp':
      return Math.max(at - 8, 0)
  }
  return at
}
