import { expect, test } from 'vitest'

import { checked, current, preferred, removed, saved, noViews } from './views'

const one = saved(noViews, ' Mine ', { kind: 'secret', open: '7', q: undefined })

test('a view keeps the search without the open finding', () => {
  expect(one).toEqual({ list: [{ name: 'Mine', search: { kind: 'secret' } }] })
})
test('a view of the same name is replaced', () => {
  expect(saved(one, 'Mine', { q: 'nginx' })).toEqual({ list: [{ name: 'Mine', search: { q: 'nginx' } }] })
})
test('one view may be the first', () => {
  const first = preferred(one, 'Mine')
  expect(first.first).toBe('Mine')
  expect(preferred(first, 'Mine').first).toBeUndefined()
  expect(removed(first, 'Mine')).toEqual({ list: [] })
})
test('the view that the URL shows is known, in whatever order', () => {
  const two = saved(one, 'Two', { a: '1', b: '2' })
  expect(current(two, { b: '2', a: '1', open: '9' })?.name).toBe('Two')
  expect(current(two, { b: '2' })).toBeUndefined()
})
test('what the server kept is checked', () => {
  expect(checked(null)).toEqual(noViews)
  expect(checked({ list: [{ name: 1 }, { name: 'a', search: {} }], first: 'b' })).toEqual({ list: [{ name: 'a', search: {} }] })
})
