import { expect, test } from 'vitest'

import { countOf, queryOf, tabOf, wide } from './tabs'

test('tabs ask for statuses', () => {
  expect(tabOf({})).toBe('pending')
  expect(queryOf({ tab: 'ended' }).status).toEqual(['canceled', 'expired', 'ended-by-fix'])
  expect(queryOf({ tab: 'all' }).status).toBeUndefined()
  expect(queryOf({ tab: 'approved', unused: 'true', ending: 'true', sort: 'end', q: 'x', target: '4' })).toEqual({ status: ['approved'], unused: true, ending: 30, sort: 'end', q: 'x', target: 4 })
})
test('counts are of the statuses of a tab', () => {
  const counts = { pending: 2, approved: 5, expired: 1, canceled: 3 }
  expect([countOf('pending', counts), countOf('ended', counts), countOf('all', counts), countOf('all', undefined)]).toEqual([2, 4, 11, 0])
})
test('the list takes one cluster', () => {
  expect([wide({ target: '1,2' }), wide({ target: '1' }), wide({})]).toEqual([true, false, false])
  expect(queryOf({ target: '1,2' }).target).toBeUndefined()
})
