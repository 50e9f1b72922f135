import type { Schemas } from '../../api/client'

export type Line = Schemas['FrameworkLine']
export type Compared = Schemas['ComparedLine']
export type Story = Schemas['ClauseFull']

export const outcomes = ['pass', 'fail', 'fail-accepted', 'manual', 'not-applicable'] as const
export type Outcome = (typeof outcomes)[number]

export type Sum = { pass: number; fail: number; manual: number; notApplicable: number; accepted: number; attested: number; score: number }

export type Framework = Sum & { framework: string; title: string; note: string; source: string; clauses: number; oldest: string; clusters: Line[] }

// score is the share of decided verdicts that pass, in percent; -1 when none was decided.
export function score(pass: number, fail: number): number {
  return pass + fail > 0 ? Math.floor((100 * pass) / (pass + fail)) : -1
}

// byFramework sums the verdicts of clusters, newest versions of a standard first.
export function byFramework(lines: Line[]): Framework[] {
  const out = new Map<string, Framework>()
  for (const l of lines) {
    let f = out.get(l.framework)
    if (!f) {
      f = { framework: l.framework, title: l.title, note: l.note ?? '', source: l.source ?? '', clauses: l.clauses, oldest: l.judgedAt, clusters: [], pass: 0, fail: 0, manual: 0, notApplicable: 0, accepted: 0, attested: 0, score: -1 }
      out.set(l.framework, f)
    }
    f.clusters.push(l)
    for (const key of ['pass', 'fail', 'manual', 'notApplicable', 'accepted', 'attested'] as const) f[key] += l[key]
    if (l.judgedAt < f.oldest) f.oldest = l.judgedAt
    f.score = score(f.pass, f.fail)
  }
  return [...out.values()].sort(compare)
}

const family = (id: string) => /^[a-z]+/.exec(id)?.[0] ?? id
const version = (id: string) => (/-([\d.]+)$/.exec(id)?.[1] ?? '0').split('.').map(Number)

// compare puts frameworks in the order of their families, and the newest version of one first: 1.12 before 1.9.
export function compare(a: { framework: string }, b: { framework: string }): number {
  const [x, y] = [family(a.framework), family(b.framework)]
  if (x !== y) return x < y ? -1 : 1
  const [v, w] = [version(a.framework), version(b.framework)]
  for (let i = 0; i < Math.max(v.length, w.length); i++) {
    const d = (w[i] ?? 0) - (v[i] ?? 0)
    if (d !== 0) return d
  }
  return a.framework < b.framework ? -1 : a.framework > b.framework ? 1 : 0
}

// asked gives the outcomes that a filter of the URL asks for: what fails by accepted findings fails too.
export function asked(filter: string[]): Outcome[] {
  const out = outcomes.filter((o) => filter.includes(o))
  if (out.includes('fail') && !out.includes('fail-accepted')) out.push('fail-accepted')
  return out
}

// bySection keeps the order of the framework.
export function bySection<T extends { section: string }>(list: T[]): { section: string; items: T[] }[] {
  const out: { section: string; items: T[] }[] = []
  for (const item of list) {
    const last = out.at(-1)
    if (last?.section === item.section) last.items.push(item)
    else out.push({ section: item.section, items: [item] })
  }
  return out
}

// outcomesOf lists the outcomes that a clause has in any cluster, with in how many.
export function outcomesOf(c: Pick<Compared, 'pass' | 'fail' | 'failAccepted' | 'manual' | 'notApplicable'>): { outcome: Outcome; count: number }[] {
  const counts: [Outcome, number][] = [
    ['fail', c.fail - c.failAccepted],
    ['fail-accepted', c.failAccepted],
    ['manual', c.manual],
    ['pass', c.pass],
    ['not-applicable', c.notApplicable],
  ]
  return counts.filter(([, n]) => n > 0).map(([outcome, count]) => ({ outcome, count }))
}

// webLink keeps an address that a browser may open.
export function webLink(address: string | undefined): string | undefined {
  return address && /^https?:\/\//i.test(address) ? address : undefined
}
