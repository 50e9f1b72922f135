// The staged roll-out of a policy: everything is audited first, warnings begin on a day, blocking on another. Days are UTC.
import { rank } from './draft'
import type { Action, Policy } from './shapes'

type Rolled = Pick<Policy, 'rollout'>

// at is what an action is at a time.
export function at(p: Rolled, action: Action, now: Date = new Date()): Action {
  const waits = (from?: string) => !!from && now.getTime() < Date.parse(from)
  let out = action
  if (out === 'block' && waits(p.rollout?.blockFrom)) out = 'warn'
  if (out === 'warn' && waits(p.rollout?.warnFrom)) out = 'audit'
  return out
}

export type Stage = { action: Action; from?: string; now: boolean }

// stages are what a policy does from when on, for its sharpest action: the first begins with the policy itself.
export function stages(p: Rolled, sharpest: Action, now: Date = new Date()): Stage[] {
  const warn = p.rollout?.warnFrom
  const block = p.rollout?.blockFrom
  const days = ['', ...(warn ? [warn] : []), ...(block ? [block] : [])].sort((a, b) => (a ? Date.parse(a) : 0) - (b ? Date.parse(b) : 0))
  const out: Stage[] = []
  for (const day of days) {
    const action = at(p, sharpest, day ? new Date(day) : new Date(0))
    const last = out.at(-1)
    if (last?.action === action) continue
    if (last && rank(action) < rank(last.action)) continue // dates out of order hold nothing back twice
    out.push({ action, from: day || undefined, now: false })
  }
  const current = at(p, sharpest, now)
  return out.map((s) => ({ ...s, now: s.action === current }))
}

// dayOf is the day of a date, as a field of days takes it.
export function dayOf(at: string | undefined): string {
  return at ? at.slice(0, 10) : ''
}

// fromDay is the beginning of a day, as the API takes it.
export function fromDay(day: string): string | undefined {
  return /^\d{4}-\d{2}-\d{2}$/.test(day) && !Number.isNaN(Date.parse(day)) ? `${day}T00:00:00Z` : undefined
}

// inDays is a day from today on.
export function inDays(days: number, now: Date = new Date()): string {
  return new Date(now.getTime() + days * 86_400_000).toISOString().slice(0, 10)
}
