// The filter of events at the door, as the URL has it. Lists, counts and actions take it.
import { listOf, type Change, type Search } from '../../parts/search'

export const kinds = ['blocked', 'warned', 'audited', 'turned', 'existing', 'unchecked'] as const
export const states = ['unhandled', 'ignored', 'handled'] as const
export const actions = ['block', 'warn', 'audit'] as const
export type Kind = (typeof kinds)[number]
export type State = (typeof states)[number]
export type Action = (typeof actions)[number]

const lists = ['target', 'namespace', 'policy', 'rule', 'action', 'state', 'kind'] as const
const words = ['ownerKind', 'owner', 'digest', 'since', 'q'] as const
export const fields = [...lists, ...words] as const
export type Field = (typeof fields)[number]
export type Filter = Partial<Record<Field, string>>

const whole = /^[1-9][0-9]{0,14}$/
const known: Partial<Record<Field, readonly string[]>> = { action: actions, state: states, kind: kinds }

// filterOf reads the filter from the URL. What makes no sense is left out. Without a state what nobody handled is meant; "all" is all.
export function filterOf(search: Search): Filter {
  const out: Filter = {}
  for (const field of lists) {
    let values = listOf(search[field])
    if (field === 'target' || field === 'policy') values = values.filter((v) => whole.test(v))
    const among = known[field]
    if (among) values = values.filter((v) => among.includes(v))
    if (values.length > 0) out[field] = values.join(',')
  }
  for (const field of words) if (search[field]) out[field] = search[field]
  if (out.since && Number.isNaN(Date.parse(out.since))) delete out.since
  if (!out.state && search.state !== 'all') out.state = 'unhandled'
  return out
}

const some = <T extends string>(text: string | undefined) => (text ? (listOf(text) as T[]) : undefined)
const ids = (text: string | undefined) => (text ? listOf(text).map(Number) : undefined)

// queryOf is the filter as the list takes it.
export function queryOf(f: Filter) {
  return { target: ids(f.target), namespace: some<string>(f.namespace), policy: ids(f.policy), rule: some<string>(f.rule), action: some<Action>(f.action), state: some<State>(f.state), kind: some<Kind>(f.kind), ownerKind: f.ownerKind, owner: f.owner, digest: f.digest, since: f.since, q: f.q }
}

// bodyOf is the same filter as actions take it.
export function bodyOf(f: Filter) {
  const { target, namespace, policy, rule, action, state, kind, ...rest } = queryOf(f)
  return { ...rest, targets: target, namespaces: namespace, policies: policy, rules: rule, actions: action, states: state, kinds: kind }
}

export type Chip = { field: Field; value: string }

// chipsOf lists the single conditions. That nobody handled it is where the list begins, and no condition.
export function chipsOf(f: Filter): Chip[] {
  return fields.flatMap((field) => {
    const value = f[field]
    if (!value || (field === 'state' && value === 'unhandled')) return []
    return (lists as readonly string[]).includes(field) ? listOf(value).map((v) => ({ field, value: v })) : [{ field, value }]
  })
}

// toggled puts a value into a list, or takes it out.
export function toggled(f: Filter, field: (typeof lists)[number], value: string): Change {
  const now = listOf(f[field])
  const next = now.includes(value) ? now.filter((v) => v !== value) : [...now, value]
  if (field === 'state') return { state: next.length === 0 || next.length === states.length ? 'all' : next.length === 1 && next[0] === 'unhandled' ? undefined : next }
  return { [field]: next }
}

export function without(f: Filter, chip: Chip): Change {
  return (lists as readonly string[]).includes(chip.field) ? toggled(f, chip.field as (typeof lists)[number], chip.value) : { [chip.field]: undefined }
}

// emptied clears every field.
export function emptied(): Change {
  return Object.fromEntries([...fields, 'open'].map((f) => [f, undefined]))
}

export function keyOf(f: Filter): string {
  return fields.map((field) => f[field] ?? '').join('\n')
}
