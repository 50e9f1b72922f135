// A policy while it is written: the form's state is the policy itself, and what leaves the form is without what was left empty.
import { checks, type Action, type Check, type ImageCheck, type Policy, type RuleUse, type Scope } from './shapes'

export type Draft = Omit<Policy, '$schema'>

// blank is where a new policy begins: nothing is blocked by surprise.
export function blank(): Draft {
  return { name: '', action: 'audit', rules: [], checks: [], templates: [], allowedImages: [], scope: {}, rollout: {}, unanswered: 'audit' }
}

// added is what the server says of a kept policy beside what stands in it.
const added = ['$schema', 'createdAt', 'createdBy', 'updatedAt', 'updatedBy', 'note']

// draftOf is a kept policy as the form takes it.
export function draftOf(p: Policy): Draft {
  const rest = Object.fromEntries(Object.entries(p).filter(([k]) => !added.includes(k))) as Policy
  return { ...blank(), ...rest, rules: rest.rules ?? [], checks: rest.checks ?? [], templates: rest.templates ?? [], allowedImages: rest.allowedImages ?? [], scope: rest.scope ?? {}, rollout: rest.rollout ?? {} }
}

const bare = (v: unknown) => v === undefined || v === null || v === '' || v === false || (Array.isArray(v) && v.length === 0) || (typeof v === 'object' && !Array.isArray(v) && Object.keys(v as object).length === 0)

// trimmed leaves out of an object what says nothing; keep names what stays whatever it says.
function trimmed<T extends object>(o: T, keep: readonly string[] = []): T {
  return Object.fromEntries(Object.entries(o).filter(([k, v]) => keep.includes(k) || !bare(v))) as T
}

// Fields of checks, beside the check itself and its action: what is set for another check does not leave the form.
export const fieldsOf: Record<Check, readonly (keyof ImageCheck)[]> = {
  vulnerability: ['severity', 'fixable', 'exploited', 'epss', 'olderThanDays', 'cves'],
  malware: [],
  baseline: ['severity', 'rules'],
  secret: ['severity'],
  unscanned: ['maxAgeDays'],
  registry: ['allow'],
  signature: ['keys'],
  tag: [],
}

function checkOf(c: ImageCheck): ImageCheck {
  const kept = Object.fromEntries(Object.entries(c).filter(([k, v]) => (k === 'check' || k === 'action' || fieldsOf[c.check].includes(k as keyof ImageCheck)) && !bare(v) && v !== 0))
  return kept as ImageCheck
}

// bodyOf is a draft as the API takes it.
export function bodyOf(d: Draft): Policy {
  const clean: Draft = {
    ...d,
    name: d.name.trim(),
    description: d.description?.trim(),
    rules: (d.rules ?? []).map((r) => trimmed(r)),
    checks: (d.checks ?? []).map(checkOf),
    templates: (d.templates ?? []).map((x) => trimmed(x)),
    allowedImages: (d.allowedImages ?? []).map((a) => trimmed(a)),
    scope: trimmed(d.scope ?? {}),
    rollout: rolledOut(d),
  }
  return trimmed(clean, ['name', 'action']) as Policy
}

// rolledOut is a roll-out without the dates that say nothing: what is never sharper than audit has none.
function rolledOut(d: Draft): NonNullable<Draft['rollout']> {
  const sharpest = sharpestOf(d)
  const out: NonNullable<Draft['rollout']> = {}
  if (d.rollout?.warnFrom && sharpest !== 'audit') out.warnFrom = d.rollout.warnFrom
  if (d.rollout?.blockFrom && sharpest === 'block') out.blockFrom = d.rollout.blockFrom
  return out
}

const ranks: Record<string, number> = { audit: 1, warn: 2, block: 3 }
export const rank = (a: string | undefined) => ranks[a ?? ''] ?? 0

// sharpestOf is the sharpest thing that a policy does.
export function sharpestOf(d: Pick<Draft, 'action' | 'rules' | 'checks' | 'templates' | 'unanswered'>): Action {
  const uses = [...(d.rules ?? []), ...(d.checks ?? []), ...(d.templates ?? [])]
  let out: Action = uses.length === 0 ? d.action : 'audit'
  for (const a of [...uses.map((u) => u.action || d.action), ...((d.checks ?? []).length > 0 && d.unanswered ? [d.unanswered] : [])]) if (rank(a) > rank(out)) out = a
  return out
}

// judges reports whether there is anything to judge by: without it there is nothing to preview.
export function judges(d: Draft): boolean {
  return (d.rules?.length ?? 0) + (d.checks?.length ?? 0) + (d.templates?.length ?? 0) > 0
}

// withRule puts a rule into a policy, or takes it out.
export function withRule(d: Draft, rule: string, on: boolean): Draft {
  const rest = (d.rules ?? []).filter((r) => r.rule !== rule)
  return { ...d, rules: on ? [...rest, { rule }] : rest }
}

// withUse changes how a rule of the policy is used.
export function withUse(d: Draft, rule: string, change: Partial<RuleUse>): Draft {
  return { ...d, rules: (d.rules ?? []).map((r) => (r.rule === rule ? (trimmed({ ...r, ...change }, ['rule']) as RuleUse) : r)) }
}

export type Fault =
  | { step: 'what'; code: 'name' }
  | { step: 'rules'; code: 'nothing' }
  | { step: 'images'; code: 'allowed' | 'registry' | 'keys'; at: number }
  | { step: 'scope'; code: 'cluster' }
  | { step: 'rollout'; code: 'order' }

// faultsOf says what keeps a draft from being saved, by step. The server knows more.
export function faultsOf(d: Draft): Fault[] {
  const out: Fault[] = []
  if (!d.name.trim()) out.push({ step: 'what', code: 'name' })
  if (!judges(d)) out.push({ step: 'rules', code: 'nothing' })
  ;(d.checks ?? []).forEach((c, at) => {
    if (c.check === 'registry' && (c.allow ?? []).length === 0) out.push({ step: 'images', code: 'registry', at })
    if (c.check === 'signature' && (c.keys ?? []).filter((k) => k.pem.trim()).length === 0) out.push({ step: 'images', code: 'keys', at })
  })
  ;(d.allowedImages ?? []).forEach((a, at) => {
    if (!a.digest && !a.tag && (a.keys ?? []).every((k) => !k.pem.trim())) out.push({ step: 'images', code: 'allowed', at })
  })
  const { warnFrom, blockFrom } = rolledOut(d)
  if (warnFrom && blockFrom && Date.parse(warnFrom) > Date.parse(blockFrom)) out.push({ step: 'rollout', code: 'order' })
  return out
}

// systemNamespaces reports whether a policy can lock a cluster out: it names system namespaces as its own.
export function reachesSystem(scope: Scope | undefined): boolean {
  return scope?.systemNamespaces === true
}

export const knownChecks = new Set<string>(checks)
