// Going through the findings of a file.
import type { Schemas } from '../../api/client'

export type FileFinding = Schemas['FileFinding']

const active = ['open', 'reopened', 'unseen']

export function isActive(f: Pick<FileFinding, 'status'>): boolean {
  return active.includes(f.status)
}

// chosen is the finding that an address names: by its id, or else the first of a line.
export function chosen(list: FileFinding[], id: string | undefined, line: string | undefined): FileFinding | undefined {
  return list.find((f) => f.id === id) ?? (line ? list.find((f) => f.line === Number(line)) : undefined)
}

// byLine gathers the findings that stand at each line.
export function byLine(list: FileFinding[]): Map<number, FileFinding[]> {
  const out = new Map<number, FileFinding[]>()
  for (const f of list) if (f.line > 0) out.set(f.line, [...(out.get(f.line) ?? []), f])
  return out
}

// step is the finding after or before one; undefined past the ends: the next file comes then.
export function step(list: FileFinding[], from: FileFinding | undefined, by: 1 | -1): FileFinding | undefined {
  if (!from) return by === 1 ? list[0] : list.at(-1)
  const at = list.findIndex((f) => f.id === from.id)
  return list[at + by]
}

// valueText writes a value of evidence.
export function valueText(value: unknown): string {
  if (typeof value === 'string') return value
  return value === undefined || value === null ? '' : JSON.stringify(value)
}
