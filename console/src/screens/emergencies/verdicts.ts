// The ladder of verdicts, from dangerous to harmless, and what counts of it tell.
import type { Line } from './shapes'

export const verdicts = ['exposed', 'unknown', 'version-only', 'fixed-by-backport', 'fixed', 'not-present'] as const
export type Word = (typeof verdicts)[number]

export const looks: Record<Word, 'bad' | 'warn' | 'ok' | 'unknown' | 'ended'> = {
  exposed: 'bad',
  unknown: 'unknown',
  'version-only': 'warn',
  'fixed-by-backport': 'ok',
  fixed: 'ok',
  'not-present': 'ended',
}

export type Sums = { exposed: number; unknown: number; 'version-only': number; 'fixed-by-backport': number; fixed: number; 'not-present': number; looked: number; notLooked: number }

// sumsOf adds up what is known of an emergency on nodes, in images and in clusters.
export function sumsOf(counts: Line['counts'], kind?: string): Sums {
  const out: Sums = { exposed: 0, unknown: 0, 'version-only': 0, 'fixed-by-backport': 0, fixed: 0, 'not-present': 0, looked: 0, notLooked: 0 }
  for (const [k, c] of Object.entries(counts)) {
    if (kind && k !== kind) continue
    out.exposed += c.exposed
    out.unknown += c.unknown
    out['version-only'] += c.versionOnly
    out['fixed-by-backport'] += c.fixedByBackport
    out.fixed += c.fixed
    out['not-present'] += c.notPresent
    out.looked += c.looked
    out.notLooked += c.notLooked
  }
  return out
}

// standing is the one word for an emergency. That nothing was found is only said where something was looked at.
export function standing(s: Sums): 'exposed' | 'unknown' | 'version-only' | 'not-looked' | 'in-part' | 'clear' {
  if (s.exposed > 0) return 'exposed'
  if (s.unknown > 0) return 'unknown'
  if (s['version-only'] > 0) return 'version-only'
  if (s.looked === 0) return 'not-looked'
  return s.notLooked > 0 ? 'in-part' : 'clear'
}

// newest orders by the day of the disclosure, the newest first; those without a day come last.
export function newest(a: Pick<Line, 'published' | 'id'>, b: Pick<Line, 'published' | 'id'>): number {
  return (b.published ?? '').localeCompare(a.published ?? '') || b.id.localeCompare(a.id)
}

// matches looks for words in what people call an emergency.
export function matches(e: Pick<Line, 'id' | 'name' | 'title' | 'aliases'>, q: string): boolean {
  const text = [e.id, e.name, e.title, ...e.aliases].join(' ').toLowerCase()
  return q
    .toLowerCase()
    .split(/\s+/)
    .every((w) => text.includes(w))
}

// safe lets through addresses that a link may have.
export function safe(url: string): string | undefined {
  return /^https?:\/\//i.test(url) ? url : undefined
}
