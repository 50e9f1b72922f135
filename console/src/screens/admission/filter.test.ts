import { expect, test } from 'vitest'

import { bodyOf, chipsOf, filterOf, queryOf, toggled, without } from './filter'

test('the list begins with what nobody handled, and "all" shows everything', () => {
  expect(filterOf({})).toEqual({ state: 'unhandled' })
  expect(filterOf({ state: 'all' })).toEqual({})
  expect(chipsOf(filterOf({}))).toEqual([])
})

test('what makes no sense is left out', () => {
  expect(filterOf({ target: '1,x,0', kind: 'blocked,nonsense', since: 'yesterday', policy: '7', state: 'handled' })).toEqual({ target: '1', kind: 'blocked', policy: '7', state: 'handled' })
})

test('query and body say the same', () => {
  const f = filterOf({ target: '3,4', rule: 'workload/host-pid', kind: 'blocked', q: 'web', state: 'all' })
  expect(queryOf(f)).toMatchObject({ target: [3, 4], rule: ['workload/host-pid'], kind: ['blocked'], q: 'web' })
  expect(bodyOf(f)).toMatchObject({ targets: [3, 4], rules: ['workload/host-pid'], kinds: ['blocked'], q: 'web' })
})

test('values are put in and taken out, states too', () => {
  const f = filterOf({ kind: 'blocked' })
  expect(toggled(f, 'kind', 'warned')).toEqual({ kind: ['blocked', 'warned'] })
  expect(toggled(f, 'state', 'unhandled')).toEqual({ state: 'all' })
  expect(toggled(filterOf({ state: 'handled' }), 'state', 'unhandled')).toEqual({ state: ['handled', 'unhandled'] })
  expect(without(f, { field: 'kind', value: 'blocked' })).toEqual({ kind: [] })
  expect(without(filterOf({ q: 'web' }), { field: 'q', value: 'web' })).toEqual({ q: undefined })
})
