// The one filter of findings, as the URL has it. All three views (risks, findings, assets), the counts, exports and actions take it.
import { listOf, type Change, type Search } from '../../parts/search'

export const kinds = ['system-vulnerability', 'application-vulnerability', 'emergency', 'configuration', 'iac', 'secret', 'malware', 'permission'] as const
export const statuses = ['open', 'reopened', 'unseen', 'ignored', 'accepted', 'marked-fixed', 'fixed', 'gone'] as const
export const severityWords = ['critical', 'high', 'medium', 'low', 'info'] as const
export const assetKinds = ['cluster', 'namespace', 'workload', 'image', 'node', 'file'] as const
export const views = ['risks', 'findings', 'assets'] as const

export type Kind = (typeof kinds)[number]
export type View = (typeof views)[number]
export type AssetKind = (typeof assetKinds)[number]

const lists = ['target', 'namespace', 'kind', 'severity', 'status'] as const
const words = ['rule', 'cve', 'package', 'image', 'digest', 'node', 'workload', 'framework', 'clause', 'fingerprint', 'q'] as const
const numbers = ['asset', 'assignee', 'exception', 'priority'] as const
const choices = ['kev', 'fixable'] as const
const times = ['firstSince', 'firstUntil', 'changedSince'] as const

export const fields = [...lists, ...words, ...numbers, ...choices, ...times] as const
export type Field = (typeof fields)[number]

// Filter is the part of the URL that says which findings are meant.
export type Filter = Partial<Record<Field, string>>

const whole = /^[1-9][0-9]{0,14}$/

// filterOf reads the filter from the URL. What makes no sense is left out, so that an old or mistyped link still opens.
export function filterOf(search: Search): Filter {
  const out: Filter = {}
  const put = (field: Field, value: string | undefined) => {
    if (value) out[field] = value
  }
  const among = (field: 'kind' | 'severity' | 'status', known: readonly string[]) => put(field, listOf(search[field]).filter((v) => known.includes(v)).join(','))
  put('target', listOf(search.target).filter((v) => whole.test(v)).join(','))
  put('namespace', listOf(search.namespace).join(','))
  among('kind', kinds)
  among('severity', severityWords)
  among('status', statuses)
  for (const field of words) put(field, search[field])
  for (const field of numbers) if (whole.test(search[field] ?? '')) put(field, search[field])
  for (const field of choices) if (search[field] === 'true' || search[field] === 'false') put(field, search[field])
  for (const field of times) if (!Number.isNaN(Date.parse(search[field] ?? ''))) put(field, search[field])
  if (out.fingerprint && (!/^[0-9a-f]{32}$/.test(out.fingerprint) || !out.target)) delete out.fingerprint
  if (!out.framework || !out.clause) {
    delete out.framework
    delete out.clause
  }
  return out
}

// emptied clears every field of the filter.
export function emptied(): Change {
  return Object.fromEntries([...fields, 'open'].map((f) => [f, undefined]))
}

export function viewOf(search: Search): View {
  return views.find((v) => v === search.view) ?? 'risks'
}

export function assetKindOf(search: Search): AssetKind {
  return assetKinds.find((k) => k === search.by) ?? 'workload'
}

const ids = (text: string | undefined) => (text ? listOf(text).map(Number) : undefined)
const one = (text: string | undefined) => (text ? Number(text) : undefined)
const list = <T extends string>(text: string | undefined) => (text ? (listOf(text) as T[]) : undefined)

// runs reports whether namespaces are meant with what their images have: the API can tell that of named clusters.
export function withImages(f: Filter): boolean {
  const targets = listOf(f.target).length
  return !!f.namespace && targets > 0 && targets <= 40
}

// queryOf is the filter as the API's lists take it.
export function queryOf(f: Filter) {
  return {
    target: ids(f.target),
    namespace: list<string>(f.namespace),
    withImages: withImages(f) || undefined,
    kind: list<Kind>(f.kind),
    severity: list<(typeof severityWords)[number]>(f.severity),
    status: list<(typeof statuses)[number]>(f.status),
    rule: f.rule,
    cve: f.cve,
    package: f.package,
    image: f.image,
    digest: f.digest,
    node: f.node,
    workload: f.workload,
    framework: f.framework,
    clause: f.clause,
    fingerprint: f.fingerprint,
    q: f.q,
    asset: one(f.asset),
    assignee: one(f.assignee),
    exception: one(f.exception),
    priority: one(f.priority),
    kev: f.kev as 'true' | 'false' | undefined,
    fixable: f.fixable as 'true' | 'false' | undefined,
    firstSince: f.firstSince,
    firstUntil: f.firstUntil,
    changedSince: f.changedSince,
  }
}

const yes = (text: string | undefined) => (text ? text === 'true' : undefined)

// bodyOf is the same filter as the API's actions take it.
export function bodyOf(f: Filter) {
  const { target, namespace, kind, severity, status, ...rest } = queryOf(f)
  return { ...rest, targets: target, namespaces: namespace, kinds: kind, severities: severity, statuses: status, kev: yes(f.kev), fixable: yes(f.fixable) }
}

export type Chip = { field: Field; value: string }

// chipsOf lists the single conditions of a filter, each of which can be taken away.
export function chipsOf(f: Filter): Chip[] {
  return fields.flatMap((field) => {
    const value = f[field]
    if (!value || field === 'clause') return []
    return (lists as readonly string[]).includes(field) ? listOf(value).map((v) => ({ field, value: v })) : [{ field, value }]
  })
}

// without takes one condition away.
export function without(f: Filter, chip: Chip): Change {
  if (chip.field === 'framework') return { framework: undefined, clause: undefined }
  if (!(lists as readonly string[]).includes(chip.field)) return { [chip.field]: undefined }
  const rest = listOf(f[chip.field]).filter((v) => v !== chip.value)
  // Namespaces and fingerprints are of clusters.
  return chip.field === 'target' && rest.length === 0 ? { target: undefined, namespace: undefined, fingerprint: undefined } : { [chip.field]: rest }
}

// toggled puts a value into a list, or takes it out.
export function toggled(f: Filter, field: Field, value: string): Change {
  if (!(lists as readonly string[]).includes(field)) return { [field]: f[field] === value ? undefined : value }
  const now = listOf(f[field])
  return { [field]: now.includes(value) ? now.filter((v) => v !== value) : [...now, value] }
}

// keyOf tells two filters apart.
export function keyOf(f: Filter): string {
  return fields.map((field) => f[field] ?? '').join('\n')
}

// searchOf is a filter as the URL has it, for links and saved views.
export function searchOf(f: Filter): Record<string, string> {
  return Object.fromEntries(fields.flatMap((field) => (f[field] ? [[field, f[field]]] : [])))
}

// ofRisk is the list of findings that a risk counts. Where counters answer, a risk's severity and marks are those of its worst finding,
// and the count is of all: then they do not narrow the list.
export function ofRisk(f: Filter, risk: { rule: string; kind: string }): Record<string, string> {
  const out: Filter = { ...f, rule: risk.rule, kind: risk.kind }
  delete out.cve
  if (fields.every((k) => !f[k] || ['target', 'kind', 'severity', 'kev'].includes(k))) {
    delete out.severity
    delete out.kev
  }
  return { ...searchOf(out), view: 'findings' }
}
