import type { Search } from '../../parts/search'

export type AuditFilter = { actor?: string; action?: string; object?: string; target?: number; from?: string; to?: string }

// filterOf reads the filter of the audit log from the URL. The cluster stands there as "of": "target" is the scope bar's, which says
// nothing of this list.
export function filterOf(url: Search): AuditFilter {
  const out: AuditFilter = {}
  if (url.actor) out.actor = url.actor
  if (url.action) out.action = url.action
  if (url.object) out.object = url.object
  if (url.of && Number.isSafeInteger(Number(url.of)) && Number(url.of) > 0) out.target = Number(url.of)
  if (time(url.from)) out.from = url.from
  if (time(url.to)) out.to = url.to
  return out
}

const time = (text: string | undefined) => text !== undefined && /^\d{4}-\d\d-\d\dT/.test(text) && !Number.isNaN(Date.parse(text))

// exportAddress is where the entries of a filter are to be had as a file.
export function exportAddress(filter: AuditFilter, form: 'csv' | 'jsonl'): string {
  const query = new URLSearchParams({ form })
  for (const [key, value] of Object.entries(filter)) query.set(key, String(value))
  return `/api/v1/audit/export?${query.toString()}`
}
