// The server gives the reasons of a priority in its own words, all of which are known: this reads them, to say them in the user's.
export type Reason =
  | { key: 'cvss'; score: string; severity: string }
  | { key: 'rated'; severity: string }
  | { key: 'exploited'; since: string }
  | { key: 'epss'; percent: number }
  | { key: 'ransomware' | 'fix' | 'root' | 'exposed' | 'notLinked' | 'unconfirmed' | 'changelog' }
  | { key: 'other'; text: string }

const plain: Record<string, 'ransomware' | 'fix' | 'root' | 'exposed' | 'notLinked' | 'unconfirmed' | 'changelog'> = {
  'used by ransomware': 'ransomware',
  'a fix is available': 'fix',
  'runs as root': 'root',
  'reachable from outside': 'exposed',
  'the vulnerable code is not linked': 'notLinked',
  'not confirmed by the vendor': 'unconfirmed',
  'fixed by what the changelog says': 'changelog',
}

export function reasonOf(text: string): Reason {
  const known = plain[text]
  if (known) return { key: known }
  let m = /^CVSS ([0-9.]+), rated (critical|high|medium|low|info)$/.exec(text)
  if (m) return { key: 'cvss', score: m[1]!, severity: m[2]! }
  m = /^rated (critical|high|medium|low|info)$/.exec(text)
  if (m) return { key: 'rated', severity: m[1]! }
  m = /^known to be exploited since (.*)$/.exec(text)
  if (m) return { key: 'exploited', since: m[1]! }
  m = /^EPSS ([0-9]+) %$/.exec(text)
  if (m) return { key: 'epss', percent: Number(m[1]) }
  return { key: 'other', text }
}
