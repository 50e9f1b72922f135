// The families of rules, as the folders of the library are called.
export const families = ['access', 'control-plane', 'dockerfile', 'escape', 'image', 'network', 'node', 'secret', 'workload'] as const
export type FamilyWord = (typeof families)[number]

// kindName is a kind without its API group: "Ingress.networking.k8s.io" is Ingress.
export function kindName(kind: string): string {
  const dot = kind.indexOf('.')
  return dot > 0 ? kind.slice(0, dot) : kind
}

// safeLink is an address that may be a link: of the web, and nothing else.
export function safeLink(address: string): string | undefined {
  try {
    const url = new URL(address)
    return ['https:', 'http:'].includes(url.protocol) ? url.href : undefined
  } catch {
    return undefined
  }
}

// digitsOf is how many digits a probability needs behind the point, in percent, so that small ones can be told apart.
export function digitsOf(share: number): number {
  return share >= 0.1 ? 0 : share >= 0.01 ? 1 : 2
}

// grouped gathers the clauses of a rule by framework, in the order in which they come.
export function grouped<T extends { framework: string }>(list: T[]): [string, T[]][] {
  const out = new Map<string, T[]>()
  for (const one of list) out.set(one.framework, [...(out.get(one.framework) ?? []), one])
  return [...out]
}

// toned is the look of a tag in one of the theme's colours.
export function toned(tone: string): { color: string; background: string; borderColor: string } {
  return { color: `var(--${tone})`, background: `var(--${tone}-soft)`, borderColor: 'transparent' }
}
