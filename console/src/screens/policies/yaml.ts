// toYaml writes a value as YAML, to be read and compared by people.
export function toYaml(value: unknown, indent = ''): string {
  if (Array.isArray(value)) {
    if (value.length === 0) return '[]'
    return value.map((v) => `${indent}- ${nested(v, indent + '  ').trimStart()}`).join('\n')
  }
  if (value && typeof value === 'object') {
    const entries = Object.entries(value).filter(([, v]) => v !== undefined)
    if (entries.length === 0) return '{}'
    return entries.map(([k, v]) => `${indent}${plain(k)}:${holds(v) ? '\n' + nested(v, indent + (Array.isArray(v) ? '' : '  ')) : ' ' + scalar(v, indent)}`).join('\n')
  }
  return indent + scalar(value, indent)
}

const holds = (v: unknown) => (Array.isArray(v) ? v.length > 0 : !!v && typeof v === 'object' && Object.keys(v).length > 0)
const nested = (v: unknown, indent: string) => (holds(v) ? toYaml(v, indent) : scalar(v, indent))

// Words that YAML would read as something else are quoted, as JSON does it.
const safe = /^[A-Za-z_][A-Za-z0-9_./@*-]*( [A-Za-z0-9_./@*-]+)*$/
const taken = /^(true|false|null|yes|no|on|off|y|n|~)$/i

function plain(text: string): string {
  return safe.test(text) && !taken.test(text) ? text : JSON.stringify(text)
}

function scalar(v: unknown, indent: string): string {
  if (Array.isArray(v)) return '[]'
  if (v && typeof v === 'object') return '{}'
  if (typeof v !== 'string') return String(v ?? null)
  if (v.includes('\n') && !/[^\S\n]\n|\t|\r/.test(v)) {
    const body = v.replace(/\n+$/, '')
    return `|${v.endsWith('\n') ? '' : '-'}\n${body.split('\n').map((l) => (l ? `${indent}  ${l}` : '')).join('\n')}`
  }
  return plain(v)
}
