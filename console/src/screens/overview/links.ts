import { searchOf, type Scope } from '../../app/scope'

export type Target = { to: string; search: Record<string, string> }

// findings is the list of active findings of a scope that a number of the overview counts. A namespace counts its images too.
export function findings(scope: Scope, filter: Record<string, string> = {}): Target {
  const images: Record<string, string> = scope.namespace.length > 0 ? { withImages: 'true' } : {}
  return { to: '/risks', search: { view: 'findings', ...searchOf(scope), ...images, ...filter } }
}

// gaps is the list of what was not scanned.
export function gaps(scope: Scope, code?: string): Target {
  return { to: '/gaps', search: { ...(scope.target.length > 0 ? { target: scope.target.join(',') } : {}), ...(code ? { code } : {}) } }
}

// stale is the list of clusters that were not looked at for a week.
export const stale: Target = { to: '/assets/clusters', search: { stale: 'true' } }

// reason is the list of what a deduction of the score counts.
export function reason(scope: Scope, name: string): Target {
  switch (name) {
    case 'known-exploited':
      return findings(scope, { kev: 'true' })
    case 'not-looked-at':
      return stale
    case 'not-scanned':
      return gaps(scope)
  }
  return findings(scope, { severity: name })
}

// step is where something that raises the score is done.
export function step(scope: Scope, kind: string, filter: Record<string, string>): Target {
  if (kind === 'gaps') return gaps(scope, filter.code)
  if (kind !== 'scan') return findings(scope, filter)
  if (!filter.id) return stale
  return filter.kind === 'cluster' ? { to: `/clusters/${filter.id}`, search: {} } : { to: '/iac', search: {} }
}

// yesterday is what is new, or fixed, since a moment.
export function recent(scope: Scope, since: string, severity?: string): Target {
  return findings(scope, { firstSince: since, ...(severity ? { severity } : {}) })
}

export function fixed(scope: Scope, since: string): Target {
  return findings(scope, { status: 'fixed,gone', changedSince: since })
}
