import { expect, test } from 'vitest'

import { flipped } from './sorts'

test('orders that begin with the largest are descending in a table', () => {
  expect([flipped('severity'), flipped('-severity'), flipped('rule'), flipped('-name'), flipped('score')]).toEqual(['-severity', 'severity', 'rule', '-name', '-score'])
  for (const s of ['severity', '-active', 'name']) expect(flipped(flipped(s))).toBe(s)
})
