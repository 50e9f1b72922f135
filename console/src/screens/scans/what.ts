// What to scan, as the forms for scans and schedules hold it.
import type { Schemas } from '../../api/client'

export const parts = [
  'system-vulnerabilities',
  'application-vulnerabilities',
  'emergency',
  'configuration',
  'compliance',
  'sensitive-information',
  'permissions',
  'images',
] as const
export type Part = (typeof parts)[number]
export type Budget = Schemas['Budget']

export type NodeOf = Schemas['Node'] // by cluster and name
export type What = { all: boolean; clusters: string[]; nodes?: NodeOf[]; parts: Part[]; budget: Budget } // with nodes: only these

export const everything: What = { all: true, clusters: [], parts: [...parts], budget: {} }

// complete reports whether there is something to scan.
export function complete(what: What): boolean {
  const some = what.nodes ? what.nodes.length > 0 : what.all || what.clusters.length > 0
  return some && what.parts.length > 0
}

// bodyOf is what the API takes. All parts are none: parts that a later version has are then in it too.
export function bodyOf(what: What): Pick<Schemas['NewTask'], 'allClusters' | 'clusterIds' | 'nodes' | 'items' | 'budget'> {
  const budget = Object.fromEntries(Object.entries(what.budget).filter(([, n]) => typeof n === 'number' && n > 0))
  return {
    ...(what.nodes ? { nodes: what.nodes } : what.all ? { allClusters: true } : { clusterIds: what.clusters }),
    ...(what.parts.length < parts.length ? { items: parts.filter((p) => what.parts.includes(p)) } : {}),
    ...(Object.keys(budget).length > 0 ? { budget } : {}),
  }
}

// whatOf is what a schedule scans.
export function whatOf(s: Schemas['Schedule']): What {
  return { all: s.allClusters, clusters: s.clusters.map((c) => c.id), parts: parts.filter((p) => s.items.includes(p)), budget: s.budget }
}

export type Consent = { clusters: number; creates: { cluster: string; kind: string; name: string; why: string }[]; unread: number; missing: number; waits: number; neverChecked: number }

// consentOf sums up a plan: what is created is listed object by object, since people agree to that and to nothing else.
export function consentOf(plan: Schemas['TaskPlan']): Consent {
  const out: Consent = { clusters: plan.clusters.length + (plan.more ?? 0), creates: [], unread: 0, missing: 0, waits: 0, neverChecked: 0 }
  for (const c of plan.clusters) {
    for (const o of c.creates) out.creates.push({ cluster: c.name, ...o })
    if (c.state === 'unreachable' || c.state === 'refused' || c.state === 'waiting') out.unread++
    if (c.missing.length > 0) out.missing++
    if (c.taskId) out.waits++
    if (!c.checkedAt && c.kind !== 'snapshot') out.neverChecked++
  }
  return out
}
