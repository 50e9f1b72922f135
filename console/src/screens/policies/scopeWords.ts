// What a policy holds for, in words.
import type { TFunction } from 'i18next'

import type { Scope } from './shapes'

const some = (l: readonly unknown[] | undefined | null): boolean => (l?.length ?? 0) > 0

export type ScopePart = { key: 'clusters' | 'allClusters' | 'namespaces' | 'allNamespaces' | 'everyNamespace' | 'withSystem' | 'excluded' | 'namespaceLabels' | 'objectLabels' | 'kinds' | 'images' | 'excludedImages' | 'operations' | 'people'; values: string[] }

// scopeParts says one thing after the other: where, which objects, who is let in. Clusters and namespaces are always told.
export function scopeParts(scope: Scope | undefined, cluster: (id: string) => string): ScopePart[] {
  const s = scope ?? {}
  const out: ScopePart[] = []
  out.push(some(s.clusters) ? { key: 'clusters', values: s.clusters!.map((id) => cluster(String(id))) } : { key: 'allClusters', values: [] })
  out.push(some(s.namespaces) ? { key: 'namespaces', values: s.namespaces! } : { key: s.systemNamespaces ? 'everyNamespace' : 'allNamespaces', values: [] })
  if (s.systemNamespaces && some(s.namespaces)) out.push({ key: 'withSystem', values: [] })
  if (some(s.excludedNamespaces)) out.push({ key: 'excluded', values: s.excludedNamespaces! })
  if (s.namespaceSelector) out.push({ key: 'namespaceLabels', values: [s.namespaceSelector] })
  if (s.objectSelector) out.push({ key: 'objectLabels', values: [s.objectSelector] })
  if (some(s.kinds)) out.push({ key: 'kinds', values: s.kinds! })
  if (some(s.images)) out.push({ key: 'images', values: s.images! })
  if (some(s.excludedImages)) out.push({ key: 'excludedImages', values: s.excludedImages! })
  if (s.operations?.length === 1) out.push({ key: 'operations', values: s.operations })
  const people = [...(s.exceptUsers ?? []), ...(s.exceptGroups ?? [])]
  if (people.length > 0) out.push({ key: 'people', values: people })
  return out
}

const most = 3 // names that are told; of more the number

// scopeWords is a scope as short sentences.
export function scopeWords(scope: Scope | undefined, t: TFunction<'policies'>, list: (words: string[]) => string, cluster: (id: string) => string): string[] {
  return scopeParts(scope, cluster).map(({ key, values }) => {
    const names = values.length > most ? list([...values.slice(0, most - 1), t('scopeWords.more', { count: values.length - most + 1 })]) : list(values)
    return t(`scopeWords.${key}`, { names })
  })
}
