import { expect, test } from 'vitest'

import { exportAddress, filterOf } from './auditFilter'

test('the URL is the filter, and what cannot be one is left out', () => {
  expect(filterOf({ actor: 'alice', action: 'cluster', of: '3', from: '2026-08-01T00:00:00Z', to: 'yesterday', target: '9', object: '' })).toEqual({
    actor: 'alice',
    action: 'cluster',
    target: 3,
    from: '2026-08-01T00:00:00Z',
  })
  expect(filterOf({ of: 'x' })).toEqual({})
})

test('the file has the same filter', () => {
  expect(exportAddress({ actor: 'a b&c', target: 3 }, 'csv')).toBe('/api/v1/audit/export?form=csv&actor=a+b%26c&target=3')
})
