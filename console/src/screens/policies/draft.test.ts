import { describe, expect, test } from 'vitest'

import { blank, bodyOf, draftOf, faultsOf, judges, sharpestOf, withRule, withUse } from './draft'

const pem = '-----BEGIN PUBLIC KEY-----\n…'

describe('a policy as form and as JSON', () => {
  test('what was left empty does not leave the form', () => {
    expect(bodyOf({ ...blank(), name: '  pods  ', rules: [{ rule: 'workload/host-pid', action: undefined }] })).toEqual({ name: 'pods', action: 'audit', rules: [{ rule: 'workload/host-pid' }], unanswered: 'audit' })
  })
  test('fields of another kind of check do not leave the form either', () => {
    const body = bodyOf({ ...blank(), name: 'images', checks: [{ check: 'malware', severity: 'high', cves: ['CVE-2021-44228'] }, { check: 'vulnerability', severity: 'critical', fixable: false, epss: 0, olderThanDays: 30 }] })
    expect(body.checks).toEqual([{ check: 'malware' }, { check: 'vulnerability', severity: 'critical', olderThanDays: 30 }])
  })
  test('there and back is the same', () => {
    const policy = bodyOf({ ...blank(), name: 'x', action: 'block', rules: [{ rule: 'a/b', action: 'warn', params: { seconds: 3 } }], scope: { namespaces: ['shop-*'], systemNamespaces: true }, rollout: { warnFrom: '2026-12-01T00:00:00Z', blockFrom: '2026-12-15T00:00:00Z' }, allowedImages: [{ digest: 'sha256:0', reason: 'known' }] })
    expect(bodyOf(draftOf(policy))).toEqual(policy)
  })
  test('a roll-out says nothing of what is never that sharp', () => {
    const rollout = { warnFrom: '2026-12-01T00:00:00Z', blockFrom: '2026-12-15T00:00:00Z' }
    expect(bodyOf({ ...blank(), name: 'x', action: 'audit', rules: [{ rule: 'a/b' }], rollout }).rollout).toBeUndefined()
    expect(bodyOf({ ...blank(), name: 'x', action: 'warn', rules: [{ rule: 'a/b' }], rollout }).rollout).toEqual({ warnFrom: rollout.warnFrom })
  })
})

test('the sharpest action counts rules, checks and images without an answer', () => {
  expect(sharpestOf({ action: 'block' })).toBe('block')
  expect(sharpestOf({ action: 'block', rules: [{ rule: 'a/b', action: 'audit' }] })).toBe('audit')
  expect(sharpestOf({ action: 'audit', checks: [{ check: 'malware', action: 'warn' }] })).toBe('warn')
  expect(sharpestOf({ action: 'audit', checks: [{ check: 'malware' }], unanswered: 'block' })).toBe('block')
  expect(sharpestOf({ action: 'audit', rules: [{ rule: 'a/b' }], unanswered: 'block' })).toBe('audit') // no image is looked at
})

test('rules are put in, changed and taken out', () => {
  let d = withRule(blank(), 'a/b', true)
  expect(judges(d)).toBe(true)
  d = withUse(d, 'a/b', { action: 'block', params: { n: 1 } })
  expect(d.rules).toEqual([{ rule: 'a/b', action: 'block', params: { n: 1 } }])
  expect(withUse(d, 'a/b', { params: undefined, action: undefined }).rules).toEqual([{ rule: 'a/b' }])
  expect(withRule(d, 'a/b', false).rules).toEqual([])
})

test('what keeps a policy from being saved is told with its step', () => {
  const codes = (d: Parameters<typeof faultsOf>[0]) => faultsOf(d).map((f) => `${f.step}/${f.code}`)
  expect(codes(blank())).toEqual(['what/name', 'rules/nothing'])
  const d = { ...blank(), name: 'x', rules: [{ rule: 'a/b' }] }
  expect(codes(d)).toEqual([])
  expect(codes({ ...d, allowedImages: [{ repository: 'registry.example.com/shop/*' }] })).toEqual(['images/allowed'])
  expect(codes({ ...d, allowedImages: [{ repository: 'registry.example.com/shop/*', keys: [{ name: 'k', pem }] }] })).toEqual([])
  expect(codes({ ...d, checks: [{ check: 'registry' }, { check: 'signature', keys: [{ name: 'k', pem: ' ' }] }] })).toEqual(['images/registry', 'images/keys'])
  expect(codes({ ...d, action: 'block', rollout: { warnFrom: '2026-12-15T00:00:00Z', blockFrom: '2026-12-01T00:00:00Z' } })).toEqual(['rollout/order'])
})
