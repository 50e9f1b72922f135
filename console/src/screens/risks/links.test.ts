import { expect, test } from 'vitest'

import { assetLink, external, rulePage } from './links'

test('references are links only when they lead to the web', () => {
  expect(external('https://example.com/a?b=1')).toBe('https://example.com/a?b=1')
  for (const bad of ['javascript:alert(1)', 'data:text/html,x', 'no address', ' ', 'file:///etc/passwd']) expect(external(bad)).toBeUndefined()
})
test('assets and rules have pages', () => {
  expect(assetLink({ kind: 'workload', id: '5', targetId: '1', name: 'till' })).toBe('/assets/workloads/5')
  expect(assetLink({ kind: 'cluster', id: '5', targetId: '1', name: 'shop' })).toBe('/clusters/1')
  expect(assetLink({ kind: 'image', id: '5', targetId: '1', name: 'nginx' })).toBeUndefined()
  expect(assetLink({ kind: 'file', id: '5', targetId: '1', name: 'a.yaml' })).toBeUndefined()
  expect(rulePage('workload/privileged-container')).toBe('/rules/workload/privileged-container')
  expect(rulePage('CVE-2021-44228')).toBe('/vulnerabilities/CVE-2021-44228')
})
