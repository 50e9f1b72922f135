import type { Schemas } from '../../api/client'
import { bodyOf, filterOf, type Filter } from '../risks/filter'

export type Report = Schemas['Report']
export type Result = Schemas['Result']
export type BrowseFilter = Schemas['BrowseFilter']

// What is exported or reported: findings with a filter, or a compliance framework.
export const whats = ['findings', 'compliance'] as const
export type What = (typeof whats)[number]

export const exportForms = ['csv', 'html', 'json', 'jsonl', 'sarif', 'markdown', 'junit', 'openvex'] as const
export const reportForms = ['html', 'csv', 'json', 'sarif'] as const
export const frameworkForms = ['html', 'csv', 'json'] as const
export type ExportForm = (typeof exportForms)[number]
export type ReportForm = (typeof reportForms)[number]

// fitting is a form that exists among those offered: the same one where it is, else the first.
export function fitting<T extends string>(form: string | undefined, offered: readonly T[]): T {
  return offered.find((f) => f === form) ?? offered[0]!
}

// filterFor joins the filter of a saved view with the clusters of the scope, which hold where the view names none.
export function filterFor(view: Record<string, string> | undefined, target: string[]): Filter {
  const filter = filterOf(view ?? {})
  return !filter.target && target.length > 0 ? { ...filter, target: target.join(',') } : filter
}

// reportFilter is a filter as reports keep it.
export function reportFilter(filter: Filter): BrowseFilter {
  const { withImages, ...rest } = bodyOf(filter)
  const all: Record<string, unknown> = { ...rest, ...(withImages ? { withImages } : {}) }
  return Object.fromEntries(Object.entries(all).filter(([, v]) => v !== undefined)) as BrowseFilter
}

// searchOf is the filter of a report as the URL of the list of findings has it.
export function searchOf(f: BrowseFilter): Record<string, string> {
  const out: Record<string, string> = { view: 'findings' }
  const put = (key: string, value: unknown) => {
    if (value === undefined || value === null || value === '' || (Array.isArray(value) && value.length === 0)) return
    out[key] = Array.isArray(value) ? value.join(',') : String(value)
  }
  put('target', f.targets)
  put('namespace', f.namespaces)
  put('kind', f.kinds)
  put('severity', f.severities)
  put('status', f.statuses)
  for (const key of ['rule', 'cve', 'package', 'image', 'digest', 'asset', 'node', 'workload', 'kev', 'fixable', 'assignee', 'exception', 'framework', 'clause', 'firstSince', 'firstUntil', 'changedSince', 'priority', 'q'] as const) put(key, f[key])
  return out
}

// viewOf is the saved view that has the filter of a report, by name; '' for all active findings, undefined for none of them.
export function viewOf(f: BrowseFilter, views: { name: string; search: Record<string, string> }[]): string | undefined {
  const text = (x: BrowseFilter) => JSON.stringify(Object.entries(searchOf(x)).sort())
  const bare = text({ ...f, targets: undefined })
  if (bare === text({})) return ''
  const same = (v: { search: Record<string, string> }, b: string) => text(reportFilter(filterOf(v.search))) === b
  return (views.find((v) => same(v, text(f))) ?? views.find((v) => same(v, bare)))?.name
}
