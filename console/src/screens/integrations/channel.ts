// A channel as the form has it, to and from what the API takes. Secrets are never read back: an empty field leaves one as it is.
import type { Schemas } from '../../api/client'

export type Channel = Schemas['Channel']
export type ChannelInput = Schemas['ChannelInput']
export type Kind = Channel['kind']

export const kinds: Kind[] = ['webhook', 'slack', 'mail', 'syslog', 'cef', 'template']
export const topics = ['findings.changed', 'cluster.state', 'task.finished', 'exception.asked', 'exception.decided', 'exception.expiring', 'exception.ended', 'protection.state', 'protection.drift', 'protection.blocked', 'protection.unchecked', 'protection.turned', 'policy.changed', 'nodes.state'] as const

export type Fields = {
  name: string
  kind: Kind
  language: 'en' | 'zh'
  enabled: boolean
  shared: boolean
  digest: '' | 'hourly' | 'daily'
  url: string // of a webhook; of Slack a secret
  method: 'POST' | 'PUT'
  headers: string // a header a line
  plainHttp: boolean
  ca: string
  template: string
  contentType: 'application/json' | 'text/plain'
  host: string
  port: number | null
  security: 'starttls' | 'tls' | 'none'
  user: string
  from: string
  to: string[]
  address: string
  protocol: 'udp' | 'tcp' | 'tls'
  hostname: string
  signingKey: string
  authorization: string
  password: string
  topics: string[]
  severities: string[]
  targets: string[]
  fresh: boolean
  kev: boolean
}

export const empty: Fields = {
  name: '',
  kind: 'webhook',
  language: 'en',
  enabled: true,
  shared: false,
  digest: '',
  url: '',
  method: 'POST',
  headers: '',
  plainHttp: false,
  ca: '',
  template: '{"text": {{json .Title}}}',
  contentType: 'application/json',
  host: '',
  port: null,
  security: 'starttls',
  user: '',
  from: '',
  to: [],
  address: '',
  protocol: 'tls',
  hostname: '',
  signingKey: '',
  authorization: '',
  password: '',
  topics: [],
  severities: [],
  targets: [],
  fresh: false,
  kev: false,
}

// fieldsOf fills the form with a channel.
export function fieldsOf(c: Channel): Fields {
  const w = c.settings?.webhook
  const m = c.settings?.mail
  const s = c.settings?.syslog
  const out: Fields = { ...empty, name: c.name, kind: c.kind, language: c.language, enabled: c.enabled, shared: c.shared, digest: c.digest }
  out.topics = c.filter?.topics ?? []
  out.severities = c.filter?.severities ?? []
  out.targets = c.filter?.targets ?? []
  out.fresh = c.filter?.new ?? false
  out.kev = c.filter?.kev ?? false
  if (w) {
    out.url = w.url ?? ''
    out.method = w.method ?? 'POST'
    out.headers = Object.entries(w.headers ?? {})
      .map(([k, v]) => `${k}: ${v}`)
      .join('\n')
    out.plainHttp = w.plainHttp ?? false
    out.ca = w.ca ?? ''
    out.template = w.template ?? ''
    out.contentType = w.contentType ?? 'application/json'
  }
  if (m) Object.assign(out, { host: m.host, port: m.port ?? null, security: m.security ?? 'starttls', user: m.user ?? '', from: m.from, to: m.to ?? [], ca: m.ca ?? '' })
  if (s) Object.assign(out, { address: s.address, protocol: s.protocol ?? 'tls', hostname: s.hostname ?? '', ca: s.ca ?? '' })
  return out
}

// headersOf reads "Name: value" lines; lines without a name are left out.
export function headersOf(text: string): Record<string, string> {
  const out: Record<string, string> = {}
  for (const line of text.split('\n')) {
    const at = line.indexOf(':')
    const name = line.slice(0, at).trim()
    if (at > 0 && name) out[name] = line.slice(at + 1).trim()
  }
  return out
}

// inputOf is what the API takes. Of the parts that a kind does not have nothing is sent. old is the channel that is changed.
export function inputOf(f: Fields, old?: Channel): ChannelInput {
  const secrets: Schemas['Secrets'] = {}
  const secret = (name: 'signingKey' | 'authorization' | 'url' | 'password', value: string) => {
    if (value) secrets[name] = value
  }
  const settings: ChannelInput['settings'] = {}
  switch (f.kind) {
    case 'webhook':
    case 'template':
      settings.webhook = {
        url: f.url.trim(),
        ...(f.headers.trim() ? { headers: headersOf(f.headers) } : {}),
        ...(f.plainHttp ? { plainHttp: true } : {}),
        ...(f.ca.trim() ? { ca: f.ca } : {}),
        ...(f.kind === 'template' ? { template: f.template, method: f.method, contentType: f.contentType } : {}),
      }
      secret('signingKey', f.signingKey)
      secret('authorization', f.authorization)
      break
    case 'slack':
      settings.webhook = { ...(f.plainHttp ? { plainHttp: true } : {}), ...(f.ca.trim() ? { ca: f.ca } : {}) }
      secret('url', f.url.trim())
      break
    case 'mail':
      settings.mail = { host: f.host.trim(), ...(f.port ? { port: f.port } : {}), security: f.security, ...(f.user ? { user: f.user } : {}), from: f.from.trim(), to: f.to, ...(f.ca.trim() ? { ca: f.ca } : {}) }
      secret('password', f.password)
      break
    default:
      settings.syslog = { address: f.address.trim(), protocol: f.protocol, ...(old?.settings?.syslog?.facility ? { facility: old.settings.syslog.facility } : {}), ...(f.hostname ? { hostname: f.hostname } : {}), ...(f.ca.trim() ? { ca: f.ca } : {}) }
  }
  const filter: ChannelInput['filter'] = {
    ...old?.filter,
    topics: f.topics.length > 0 ? (f.topics as NonNullable<ChannelInput['filter']>['topics']) : undefined,
    severities: f.severities.length > 0 ? (f.severities as NonNullable<ChannelInput['filter']>['severities']) : undefined,
    targets: f.targets.length > 0 ? f.targets : undefined,
    new: f.fresh || undefined,
    kev: f.kev || undefined,
  }
  return {
    name: f.name.trim(),
    kind: f.kind,
    language: f.language,
    enabled: f.enabled,
    shared: f.shared,
    digest: f.digest,
    settings,
    filter,
    ...(Object.keys(secrets).length > 0 ? { secrets } : {}),
  }
}

// place is where a channel sends to, without secrets.
export function place(c: Channel): string {
  const { webhook, mail, syslog } = c.settings ?? {}
  if (mail) return (mail.to ?? []).join(', ')
  if (syslog) return `${syslog.protocol ?? 'tls'}://${syslog.address}`
  return webhook?.url ?? ''
}
