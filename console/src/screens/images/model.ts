// What the API tells of images, and what the console reads out of it.
import type { Schemas } from '../../api/client'

export type ImageRow = Schemas['ImageRow']
export type Image = Schemas['Image']
export type BuildStep = Schemas['BuildStep']
export type ImagePackage = Schemas['ImagePackage']
export type ImageFinding = Schemas['ImageFinding']

export const vulnerabilityKinds = ['system-vulnerability', 'application-vulnerability', 'emergency'] as const
export const otherKinds = ['secret', 'malware', 'configuration'] as const

// imageKey names an image in an address: its digest, or the asset where no digest is known.
export function imageKey(row: { digest?: string; id: string }): string {
  return row.digest || row.id
}

// isKey reports whether a text of the address is one of these: nothing else is put into addresses of files.
export function isKey(key: string): boolean {
  return /^(sha256:[0-9a-f]{64}|[1-9][0-9]{0,17})$/.test(key)
}

// shortDigest is what people compare: the first 12 digits.
export function shortDigest(digest: string): string {
  return digest.replace(/^sha256:/, '').slice(0, 12)
}

// sum adds the numbers of severities.
export function sum(counts: Record<string, number> | undefined): number {
  return Object.values(counts ?? {}).reduce((a, b) => a + b, 0)
}

// plus adds counts of severities.
export function plus(...all: (Record<string, number> | undefined)[]): Record<string, number> {
  const out: Record<string, number> = {}
  for (const counts of all) for (const [word, n] of Object.entries(counts ?? {})) out[word] = (out[word] ?? 0) + n
  return out
}

export type Check = { key: 'root' | 'latest' | 'admin' | 'old' | 'undated' | 'health' | 'system'; value?: string }

const adminPorts = ['22', '23', '3389', '5900', '2375']

// checks are what of an image's configuration is worth a look. now is in milliseconds.
export function checks(image: Image, now: number): Check[] {
  const out: Check[] = []
  const user = (image.user ?? '').split(':')[0]!.trim()
  if (user === '' || user === 'root' || user === '0') out.push({ key: 'root' })
  const loose = image.references.filter(moves)
  if (loose.length > 0) out.push({ key: 'latest', value: loose.join(', ') })
  const admin = (image.ports ?? []).filter((p) => adminPorts.includes(p.split('/')[0]!))
  if (admin.length > 0) out.push({ key: 'admin', value: admin.join(', ') })
  if (!image.created) out.push({ key: 'undated' })
  else if (now - new Date(image.created).getTime() > 366 * 86_400_000) out.push({ key: 'old' })
  if (!image.os) out.push({ key: 'system' })
  if (!image.healthcheck) out.push({ key: 'health' })
  return out
}

// moves reports whether a reference can name another image tomorrow by design: no tag, or latest, and no digest.
export function moves(reference: string): boolean {
  if (reference.includes('@')) return false
  const last = reference.slice(reference.lastIndexOf('/') + 1)
  const tag = last.includes(':') ? last.slice(last.indexOf(':') + 1) : ''
  return tag === '' || tag === 'latest'
}

// pinned names an image by its digest, in the repository that it was asked for in: policies look at both.
export function pinned(row: { reference: string; digest: string }): string {
  const name = row.reference.split('@')[0]!
  const slash = name.lastIndexOf('/')
  const colon = name.indexOf(':', slash + 1)
  return `${colon < 0 ? name : name.slice(0, colon)}@${row.digest}`
}
