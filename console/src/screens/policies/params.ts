// Parameters of rules: which field each has, by the type of the value that the rule has by itself.
export type ParamKind = 'text' | 'number' | 'switch' | 'words' | 'numbers' | 'map' | 'json'

const every = <T>(v: unknown, is: (x: unknown) => x is T): v is T[] => Array.isArray(v) && v.every(is)
const isText = (x: unknown): x is string => typeof x === 'string'
const isNumber = (x: unknown): x is number => typeof x === 'number'

// kindOf is the field of a parameter.
export function kindOf(standard: unknown): ParamKind {
  if (typeof standard === 'string') return 'text'
  if (typeof standard === 'number') return 'number'
  if (typeof standard === 'boolean') return 'switch'
  if (Array.isArray(standard) && standard.length > 0 && every(standard, isNumber)) return 'numbers'
  if (every(standard, isText)) return 'words'
  if (standard && typeof standard === 'object' && !Array.isArray(standard) && Object.values(standard).every(isText)) return 'map'
  return 'json'
}

// same tells whether two values are the same, whatever the order of an object's keys.
export function same(a: unknown, b: unknown): boolean {
  return JSON.stringify(sorted(a)) === JSON.stringify(sorted(b))
}

function sorted(v: unknown): unknown {
  if (Array.isArray(v)) return v.map(sorted)
  if (v && typeof v === 'object') return Object.fromEntries(Object.entries(v).sort(([a], [b]) => (a < b ? -1 : 1)).map(([k, x]) => [k, sorted(x)]))
  return v
}

export type Params = Record<string, unknown>

// standardOf are the values that a rule or template has by itself. What has none has the empty value of its type.
export function standardOf(params: { name: string; type?: string; default?: unknown }[] | null | undefined): Params {
  return Object.fromEntries((params ?? []).map((p) => [p.name, p.default ?? empties[p.type ?? ''] ?? null]))
}

const empties: Record<string, unknown> = { string: '', number: 0, integer: 0, boolean: false, array: [], list: [], strings: [], object: {}, map: {} }

// changedParams are the parameters with one set; what is as the rule has it is left out.
export function changedParams(standard: Params, own: Params | undefined, name: string, value: unknown): Params | undefined {
  const out: Params = { ...own, [name]: value }
  if (value === undefined || same(value, standard[name])) delete out[name]
  return Object.keys(out).length > 0 ? out : undefined
}

// valueOf is what holds: the policy's own, or the rule's.
export function valueOf(standard: Params, own: Params | undefined, name: string): unknown {
  return own && name in own ? own[name] : standard[name]
}

// readNumbers reads a list of numbers; what is none is left out.
export function readNumbers(words: string[]): number[] {
  return words.filter((w) => w.trim() !== '').map(Number).filter((n) => Number.isFinite(n))
}

// readMap reads lines "key=value".
export function readMap(text: string): Record<string, string> {
  const out: Record<string, string> = {}
  for (const line of text.split('\n')) {
    const eq = line.indexOf('=')
    const key = (eq < 0 ? line : line.slice(0, eq)).trim()
    if (key) out[key] = eq < 0 ? '' : line.slice(eq + 1).trim()
  }
  return out
}

export function writeMap(map: unknown): string {
  return Object.entries((map ?? {}) as Record<string, string>)
    .map(([k, v]) => `${k}=${v}`)
    .join('\n')
}

// readJson reads a value of any form; fault says where it cannot be read.
export function readJson(text: string): { value: unknown } | { fault: string } {
  try {
    return { value: JSON.parse(text) as unknown }
  } catch (e) {
    return { fault: e instanceof Error ? e.message : String(e) }
  }
}
