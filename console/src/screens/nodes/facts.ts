// What the facts of a node say, as the pages show them.
import type { Binary, Container, Process, Skip } from './shapes'

// binaryState says how far a program can be believed to be what it calls itself. An empty word is nothing to tell.
export function binaryState(b: Pick<Binary, 'genuine' | 'replaced'>): { state: 'ok' | 'warn' | 'bad' | 'unknown'; word: 'genuine' | 'imitated' | 'replaced' | 'notProven' } {
  if (b.genuine && b.genuine !== 'yes') return { state: 'bad', word: 'imitated' }
  if (b.replaced) return { state: 'warn', word: 'replaced' }
  return b.genuine === 'yes' ? { state: 'ok', word: 'genuine' } : { state: 'unknown', word: 'notProven' }
}

// worth orders programs: what is wrong first, then what runs, then by name.
export function byWorth(a: Binary, b: Binary): number {
  const rank = (x: Binary) => ({ bad: 0, warn: 1, unknown: 3, ok: 3 })[binaryState(x).state] - (x.running ? 1 : 0) * 0.5
  return rank(a) - rank(b) || a.component.localeCompare(b.component) || a.path.localeCompare(b.path)
}

export const signs = ['drift', 'host-write', 'role', 'caps', 'seccomp', 'lsm', 'root', 'host', 'local'] as const
export type Sign = (typeof signs)[number]

// signsOf are the things about a running container that somebody should look at, worst first.
export function signsOf(c: Container): Sign[] {
  const processes = c.processes ?? []
  const out: Sign[] = []
  if ((c.drift ?? []).length > 0) out.push('drift')
  if ((c.mounts ?? []).some((m) => !m.readOnly)) out.push('host-write')
  if (processes.some((p) => p.role)) out.push('role')
  if (processes.some((p) => (p.caps ?? []).length > 0)) out.push('caps')
  if (processes.some((p) => p.seccomp === 'disabled')) out.push('seccomp')
  if (processes.some((p) => p.lsm?.startsWith('unconfined'))) out.push('lsm')
  if (!c.userNamespace && processes.some((p) => p.uid === 0)) out.push('root')
  if (c.hostPid || c.hostNetwork || c.hostIpc) out.push('host')
  if (c.local) out.push('local')
  return out
}

export const grave: Sign[] = ['drift', 'host-write', 'role', 'caps']

// containerName is what people call it: of a pod by namespace, pod and name, otherwise by the runtime's name.
export function containerName(c: Pick<Container, 'namespace' | 'pod' | 'container' | 'id'>): string {
  return [c.namespace, c.pod, c.container].filter(Boolean).join('/') || c.id.slice(0, 12)
}

// command is a process as it was started, cut to what a row holds.
export function command(p: Pick<Process, 'name' | 'args'>): string {
  const all = (p.args ?? []).join(' ')
  return all.length > 200 ? all.slice(0, 200) + '…' : all || p.name
}

// unread joins what the agent says it lacks now with what its last reading could not look at: each once.
export function unread(needs: Skip[], skipped: Skip[]): Skip[] {
  const seen = new Set<string>()
  return [...needs, ...skipped].filter((s) => {
    const key = `${s.check}\n${s.needs}\n${s.reason}`
    return !seen.has(key) && seen.add(key)
  })
}

// containersUnread tells whether something about containers was not read: an empty list is then no proof that none runs.
export function containersUnread(needs: Skip[], skipped: Skip[]): boolean {
  return [...needs, ...skipped].some((s) => s.check.startsWith('container'))
}

// flat makes lines of a configuration: "authentication.anonymous.enabled" and its value.
export function flat(value: unknown, before = '', depth = 0): [string, string][] {
  if (value !== null && typeof value === 'object' && !Array.isArray(value) && depth < 8) {
    const entries = Object.entries(value as Record<string, unknown>)
    if (entries.length > 0) return entries.sort(([a], [b]) => a.localeCompare(b)).flatMap(([k, v]) => flat(v, before ? `${before}.${k}` : k, depth + 1))
  }
  return [[before, typeof value === 'string' ? value : (JSON.stringify(value) ?? '')]]
}
