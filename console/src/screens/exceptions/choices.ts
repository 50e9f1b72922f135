// Which scopes an exception for a finding, or for a selection of them, can have.
import type { Schemas } from '../../api/client'

export type Scope = Schemas['Scope']
export type Draft = { targetId?: string; findingId?: string; scope: Scope }
export type ChoiceName = 'finding' | 'workload' | 'namespace' | 'digest' | 'repository' | 'package' | 'file' | 'cluster' | 'everywhere'
export type ScopeChoice = { name: ChoiceName; draft: Draft }

type Finding = Pick<Schemas['FindingFull'], 'id' | 'targetId' | 'rule' | 'kind' | 'namespace' | 'package' | 'image' | 'digest' | 'document'>

// repositoryOf is an image without its tag and digest: "registry.example.com:5000/shop/till:1.0" is of "registry.example.com:5000/shop/till".
export function repositoryOf(image: string): string {
  const plain = image.replace(/@.*$/, '')
  const at = plain.lastIndexOf(':')
  return at > plain.lastIndexOf('/') ? plain.slice(0, at) : plain
}

// choicesFor lists the scopes from the narrowest to the widest.
export function choicesFor(f: Finding): ScopeChoice[] {
  const vulnerability = f.document.vulnerability
  const what: Scope = vulnerability ? { cve: f.rule } : { rule: f.rule }
  const r = f.document.resource
  const here = { targetId: f.targetId }
  const out: ScopeChoice[] = [{ name: 'finding', draft: { findingId: f.id, scope: {} } }]
  if (f.image) {
    if (f.digest) out.push({ name: 'digest', draft: { ...here, scope: { ...what, digest: f.digest } } })
    out.push({ name: 'repository', draft: { ...here, scope: { ...what, image: repositoryOf(f.image) } } })
  } else if (r.file) {
    out.push({ name: 'file', draft: { ...here, scope: { ...what, file: r.file } } })
  } else if (r.kind && r.name) {
    out.push({ name: 'workload', draft: { ...here, scope: { ...what, kind: r.kind, name: r.name, ...(f.namespace ? { namespace: f.namespace } : {}) } } })
  }
  if (f.namespace) out.push({ name: 'namespace', draft: { ...here, scope: { ...what, namespace: f.namespace } } })
  if (f.package) out.push({ name: 'package', draft: { ...here, scope: { ...what, package: f.package } } })
  out.push({ name: 'cluster', draft: { ...here, scope: what } }, { name: 'everywhere', draft: { scope: what } })
  return out
}

type Line = Pick<Schemas['FindingLine'], 'rule' | 'kind' | 'targetId' | 'namespace' | 'package' | 'image' | 'digest'>

// common is the scope that findings share, for asking for many at once: what they all have, and what the filter says of them.
export function common(rows: Line[], filter: { rule?: string; target?: string; namespace?: string; package?: string; image?: string; digest?: string }): Draft {
  const same = (key: keyof Line): string | undefined => {
    const first = rows[0]?.[key]
    return first && rows.every((r) => r[key] === first) ? first : undefined
  }
  const single = (text?: string) => (text && !text.includes(',') ? text : undefined)
  const rule = filter.rule ?? same('rule')
  const scope: Scope = {}
  if (rule) scope[rule.includes('/') ? 'rule' : 'cve'] = rule
  const namespace = single(filter.namespace) ?? same('namespace')
  const image = filter.image ?? same('image')
  const pack = filter.package ?? same('package')
  if (namespace) scope.namespace = namespace
  if (pack) scope.package = pack
  if (image) scope.image = repositoryOf(image)
  const targetId = single(filter.target) ?? same('targetId')
  return { scope, ...(targetId ? { targetId } : {}) }
}

export const scopeFields = ['rule', 'cve', 'package', 'purl', 'version', 'image', 'digest', 'fingerprint', 'namespace', 'kind', 'name', 'container', 'file', 'node', 'labels'] as const
export type ScopeField = (typeof scopeFields)[number]

// bound reports whether a scope names what it is about: the API asks for one of these.
export function bound(scope: Scope): boolean {
  return (['fingerprint', 'rule', 'cve', 'package', 'purl', 'image', 'digest'] as const).some((k) => !!scope[k]?.trim())
}

// parts lists what a scope says, in the order that people read.
export function parts(scope: Scope): { field: ScopeField; value: string }[] {
  return scopeFields.flatMap((field) => (scope[field] ? [{ field, value: scope[field] }] : []))
}

// covered is the list of findings that a scope covers, where the filter of findings can say the same: no patterns, no labels.
export function covered(scope: Scope, targetId?: string): Record<string, string> | undefined {
  const target = targetId && targetId !== '0' ? targetId : undefined
  const said = parts(scope)
  const known = ['fingerprint', 'rule', 'cve', 'package', 'digest', 'namespace']
  if (said.length === 0 || said.some((p) => !known.includes(p.field) || /[*?[\]]/.test(p.value))) return undefined
  if (scope.fingerprint && !target) return undefined
  if (scope.cve && (scope.namespace || !/^CVE-/i.test(scope.cve))) return undefined // aliases, and images that run elsewhere too
  if (scope.fingerprint) return { view: 'findings', target: target!, fingerprint: scope.fingerprint }
  return { view: 'findings', ...(target ? { target } : {}), ...Object.fromEntries(said.map((p) => [p.field, p.value])) }
}
