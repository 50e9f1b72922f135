// What is selected in a list that is longer than what is loaded: some rows, or all that the filter selects.
import { bodyOf, type Filter } from './filter'

export type Selected = { all: false; ids: ReadonlySet<string> } | { all: true }

export const none: Selected = { all: false, ids: new Set() }

// shownIds are the loaded rows that are marked as selected.
export function shownIds(s: Selected, loaded: string[]): ReadonlySet<string> {
  return s.all ? new Set(loaded) : s.ids
}

// changedTo is the selection after the table's boxes changed: whoever unmarks a row of "all" keeps the loaded ones that are left.
export function changedTo(ids: ReadonlySet<string>): Selected {
  return { all: false, ids }
}

export function countOf(s: Selected, total: number): number {
  return s.all ? total : s.ids.size
}

// offersAll reports whether there is more to select than what is loaded.
export function offersAll(s: Selected, loaded: string[], hasMore: boolean): boolean {
  return !s.all && hasMore && loaded.length > 0 && loaded.every((id) => s.ids.has(id))
}

export type Meant = { ids: string[] } | { filter: ReturnType<typeof bodyOf> }

// meant is the selection as the API's actions take it.
export function meant(s: Selected, f: Filter): Meant {
  return s.all ? { filter: bodyOf(f) } : { ids: [...s.ids] }
}

// undoing is what an action changed, for taking it back: those of the same selection that have the status which it gives, since it
// began. Who had that status before is left alone.
export function undoing(of: Meant, action: 'ignore' | 'unignore', since: string): { filter: Partial<ReturnType<typeof bodyOf>> & { ids?: number[] } } {
  const statuses: ReturnType<typeof bodyOf>['statuses'] = action === 'ignore' ? ['ignored'] : ['open', 'reopened', 'unseen']
  return { filter: 'ids' in of ? { ids: of.ids.map(Number), statuses, changedSince: since } : { ...of.filter, statuses, changedSince: since } }
}
