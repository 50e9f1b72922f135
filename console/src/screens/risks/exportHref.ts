import { queryOf, type Filter } from './filter'

export const forms = ['csv', 'json', 'jsonl', 'html', 'sarif', 'markdown', 'junit', 'openvex'] as const
export type Form = (typeof forms)[number]

// exportHref is the address of the file with the findings of a filter. The browser asks for it by itself, with the session.
export function exportHref(filter: Filter, sort: string | undefined, form: Form, lang: string): string {
  const out = new URLSearchParams()
  for (const [key, value] of Object.entries({ ...queryOf(filter), sort, form, lang: lang === 'zh' ? 'zh' : 'en' })) {
    if (value !== undefined) out.set(key, Array.isArray(value) ? value.join(',') : String(value))
  }
  return `/api/v1/findings/export?${out.toString()}`
}
