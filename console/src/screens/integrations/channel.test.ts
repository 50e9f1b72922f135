import { expect, test } from 'vitest'

import { empty, fieldsOf, headersOf, inputOf, place, type Channel } from './channel'

const made: Channel = {
  id: '1',
  name: 'ops',
  kind: 'webhook',
  language: 'zh',
  enabled: false,
  shared: true,
  digest: 'daily',
  createdAt: '2026-08-01T00:00:00Z',
  updatedAt: '2026-08-01T00:00:00Z',
  secrets: ['signingKey'],
  settings: { webhook: { url: 'https://hooks.example.com/x', headers: { 'X-Team': 'a: b' } } },
  filter: { topics: ['task.finished'], namespaces: ['shop'], kev: true },
}

test('a channel goes through the form unchanged', () => {
  const input = inputOf(fieldsOf(made), made)
  expect(input).toEqual({
    name: 'ops',
    kind: 'webhook',
    language: 'zh',
    enabled: false,
    shared: true,
    digest: 'daily',
    settings: { webhook: { url: 'https://hooks.example.com/x', headers: { 'X-Team': 'a: b' } } },
    filter: { topics: ['task.finished'], namespaces: ['shop'], kev: true, severities: undefined, targets: undefined, new: undefined },
  })
})

test('secrets are sent only when they are typed', () => {
  expect(inputOf({ ...empty, url: 'https://hooks.example.com' }).secrets).toBeUndefined()
  expect(inputOf({ ...empty, url: 'https://hooks.example.com', signingKey: 'k' }).secrets).toEqual({ signingKey: 'k' })
  const slack = inputOf({ ...empty, kind: 'slack', url: ' https://hooks.example.com/secret ', signingKey: 'left over' })
  expect(slack.secrets).toEqual({ url: 'https://hooks.example.com/secret' })
  expect(JSON.stringify(slack.settings)).not.toContain('secret')
})

test('only the part of the kind is sent', () => {
  const mail = inputOf({ ...empty, kind: 'mail', host: 'mail.example.com', from: 'a@example.com', to: ['b@example.com'], url: 'https://left.example.com' })
  expect(mail.settings).toEqual({ mail: { host: 'mail.example.com', security: 'starttls', from: 'a@example.com', to: ['b@example.com'] } })
  expect(inputOf({ ...empty, kind: 'cef', address: 'siem.example.com:6514' }).settings).toEqual({ syslog: { address: 'siem.example.com:6514', protocol: 'tls' } })
})

test('headers are a line each', () => {
  expect(headersOf('A: 1\n\nB:2:3\nnothing\n: x')).toEqual({ A: '1', B: '2:3' })
})

test('the place tells no secret', () => {
  expect(place(made)).toBe('https://hooks.example.com/x')
  expect(place({ ...made, kind: 'syslog', settings: { syslog: { address: 'a:1' } } })).toBe('tls://a:1')
  expect(place({ ...made, settings: undefined })).toBe('')
})
