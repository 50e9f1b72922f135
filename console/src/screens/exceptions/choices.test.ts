import { describe, expect, test } from 'vitest'

import { bound, choicesFor, common, covered, parts, repositoryOf } from './choices'

const document = { fingerprint: 'f', kind: 'configuration', rule: 'workload/x', severity: 'high', status: 'open', resource: { kind: 'Deployment', name: 'till' } }
const config = { id: '7', targetId: '3', rule: 'workload/x', kind: 'configuration', namespace: 'shop', document }
const vulnerability = { id: 'CVE-2021-44228', package: 'log4j-core', version: '2.14.1', type: 'application', source: 'osv', state: 'fixed', evidenceClass: 'upstream' }
const cve = { id: '8', targetId: '3', rule: 'CVE-2021-44228', kind: 'application-vulnerability', package: 'log4j-core', image: 'registry.example.com:5000/shop/till:1.0', digest: 'sha256:abc', document: { ...document, vulnerability, resource: {} } }

describe('scopes of an exception', () => {
  test('of a configuration go from the finding to everywhere', () => {
    const list = choicesFor(config)
    expect(list.map((c) => c.name)).toEqual(['finding', 'workload', 'namespace', 'cluster', 'everywhere'])
    expect(list[1]!.draft).toEqual({ targetId: '3', scope: { rule: 'workload/x', kind: 'Deployment', name: 'till', namespace: 'shop' } })
    expect(list[4]!.draft).toEqual({ scope: { rule: 'workload/x' } })
  })
  test('of a vulnerability are of the image and the package', () => {
    const list = choicesFor(cve)
    expect(list.map((c) => c.name)).toEqual(['finding', 'digest', 'repository', 'package', 'cluster', 'everywhere'])
    expect(list[2]!.draft.scope).toEqual({ cve: 'CVE-2021-44228', image: 'registry.example.com:5000/shop/till' })
  })
  test('the repository of an image keeps the port', () => {
    expect(repositoryOf('nginx:1.2')).toBe('nginx')
    expect(repositoryOf('registry.example.com:5000/a')).toBe('registry.example.com:5000/a')
    expect(repositoryOf('registry.example.com:5000/a:1@sha256:00')).toBe('registry.example.com:5000/a')
  })
})

describe('what a selection shares', () => {
  test('is what all of it has', () => {
    expect(common([config, { ...config, namespace: 'bank' }], {})).toEqual({ targetId: '3', scope: { rule: 'workload/x' } })
    expect(common([config, { ...config, rule: 'workload/y', targetId: '4' }], {})).toEqual({ scope: { namespace: 'shop' } })
  })
  test('the filter says it for what is not loaded', () => {
    expect(common([], { rule: 'CVE-1', target: '3', namespace: 'a,b' })).toEqual({ targetId: '3', scope: { cve: 'CVE-1' } })
  })
})

test('a scope must name what it is about', () => {
  expect(bound({ namespace: 'shop' })).toBe(false)
  expect(bound({ rule: ' ' })).toBe(false)
  expect(bound({ package: 'log4j-core' })).toBe(true)
  expect(parts({ namespace: 'shop', rule: 'a/b' }).map((p) => p.field)).toEqual(['rule', 'namespace'])
})

test('what a scope covers is a list where the filter can say it', () => {
  expect(covered({ fingerprint: 'ab', namespace: 'shop' }, '3')).toEqual({ view: 'findings', target: '3', fingerprint: 'ab' })
  expect(covered({ rule: 'workload/x', namespace: 'shop' }, '3')).toEqual({ view: 'findings', target: '3', rule: 'workload/x', namespace: 'shop' })
  expect(covered({ cve: 'CVE-2021-44228' })).toEqual({ view: 'findings', cve: 'CVE-2021-44228' })
  for (const scope of [{ rule: 'workload/*' }, { rule: 'a/b', labels: 'team=shop' }, { cve: 'GHSA-1' }, { cve: 'CVE-1', namespace: 'shop' }, { image: 'nginx' }, {}]) expect(covered(scope, '3')).toBeUndefined()
  expect(covered({ fingerprint: 'ab' })).toBeUndefined()
})
