// What a preview found, put together for people: the API groups by rule and owner, people also ask by namespace.
import { rank } from './draft'
import type { Action } from './shapes'
import type { Schemas } from '../../api/client'
import { language } from '../../text/start'

export type Preview = Schemas['PreviewResult']
export type Live = NonNullable<Preview['live']>
export type Replay = NonNullable<Preview['replay']>
export type Group = Schemas['Group']
export type Owner = Schemas['PreviewOwner']
type Text = { en: string; zh: string }

// inWords is a text in the language of the console.
export function inWords(text: Text | undefined): string {
  return (language() === 'zh' ? text?.zh : text?.en) || text?.en || ''
}

export type Hit = { group: Group; owner: Owner }
export type Bucket = { key: string; cluster: string; namespace: string; owner?: Owner; count: number; worst: Action; hits: Hit[] }

const listOf = <T>(l: T[] | null | undefined): T[] => l ?? []

// hitsOf lists what violates, one for each rule and owner. What an exception lets pass is not hit.
export function hitsOf(groups: Group[] | undefined | null): Hit[] {
  return listOf(groups).flatMap((group) => listOf(group.owners).filter((o) => !o.exception).map((owner) => ({ group, owner })))
}

// buckets gathers hits by namespace, or by owner; what is blocked comes first, then what is most. Namespaces are counted whole, also
// where not all owners are listed.
export function buckets(groups: Group[] | undefined | null, by: 'namespace' | 'owner'): Bucket[] {
  const out = new Map<string, Bucket>()
  const at = (key: string, group: Group, cluster: string, namespace: string, owner?: Owner): Bucket => {
    const b = out.get(key) ?? { key, cluster, namespace, owner, count: 0, worst: group.action, hits: [] }
    if (rank(group.action) > rank(b.worst)) b.worst = group.action
    out.set(key, b)
    return b
  }
  const place = (cluster: string, namespace: string) => `${cluster}/${namespace}`
  for (const group of listOf(groups)) {
    if (by === 'namespace') for (const s of listOf(group.namespaces)) at(place(s.cluster, s.namespace), group, s.cluster, s.namespace).count += s.count
    for (const hit of hitsOf([group])) {
      const o = hit.owner
      const cluster = o.cluster ?? ''
      const namespace = o.namespace ?? ''
      if (by === 'namespace') {
        at(place(cluster, namespace), group, cluster, namespace).hits.push(hit)
        continue
      }
      const b = at(`${place(cluster, namespace)}/${o.kind}/${o.name}`, group, cluster, namespace, o)
      b.count += o.count
      b.hits.push(hit)
    }
  }
  return [...out.values()].sort((a, b) => rank(b.worst) - rank(a.worst) || b.count - a.count || (a.key < b.key ? -1 : 1))
}

const severity = ['critical', 'high', 'medium', 'low', 'info']

// sampleOf is the hit to show as an example: the sharpest action, the gravest rule.
export function sampleOf(groups: Group[] | undefined | null): Hit | undefined {
  return hitsOf(groups)
    .filter((h) => h.owner.refusal)
    .sort((a, b) => rank(b.group.action) - rank(a.group.action) || severity.indexOf(a.group.severity) - severity.indexOf(b.group.severity))[0]
}

// named puts the name that is being typed into a sample: previews are asked for without it, so that nobody waits for its letters.
export function named(message: string, name: string | undefined): string {
  return name?.trim() ? message.replace(/(["“「])preview(["”」])/, (_, open: string, close: string) => open + shortName(name.trim()) + close) : message
}

// shortName takes the middle out of a long name, as refusals do.
function shortName(name: string): string {
  const letters = [...name]
  return letters.length > 40 ? `${letters.slice(0, 13).join('')}…${letters.slice(-26).join('')}` : name
}

// asKubectl is what kubectl prints when a request is refused, or let in with a warning.
export function asKubectl(action: Action, message: string, object: { kind: string; name: string }): string {
  const made = `${object.kind.toLowerCase()}/${object.name} created`
  if (action === 'block') return `Error from server (Forbidden): admission webhook "validation.gatekeeper.sh" denied the request: ${message}`
  if (action === 'warn') return `Warning: ${message}\n${made}`
  return made
}

const cell = (v: string | number) => {
  const text = String(v)
  const safe = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text // no formula for who opens it in a spreadsheet
  return /[",\n\r]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe
}

// csvOf writes what violates as a table, one line for each rule and owner.
export function csvOf(groups: Group[] | undefined | null, head: string[]): string {
  const rows = hitsOf(groups).map(({ group: g, owner: o }) => [g.action, g.severity, g.ruleId ?? '', g.rule, inWords(g.title), o.cluster ?? '', o.namespace ?? '', o.kind, o.name, o.image ?? '', o.count, inWords(o.message)])
  return [head, ...rows].map((r) => r.map(cell).join(',')).join('\r\n') + '\r\n'
}

// hitsByRule counts the objects that each rule would hit.
export function hitsByRule(groups: Group[] | undefined | null): Map<string, number> {
  const out = new Map<string, number>()
  for (const g of listOf(groups)) out.set(g.rule, (out.get(g.rule) ?? 0) + g.count)
  return out
}
