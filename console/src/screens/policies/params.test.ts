import { expect, test } from 'vitest'

import { changedParams, kindOf, readJson, readMap, readNumbers, same, standardOf, valueOf, writeMap } from './params'

test('each type of value has its field', () => {
  const kinds: [unknown, string][] = [['x', 'text'], [3, 'number'], [true, 'switch'], [['a'], 'words'], [[], 'words'], [[1, 2], 'numbers'], [{ a: 'b' }, 'map'], [{}, 'map'], [{ a: { b: 1 } }, 'json'], [[{ a: 1 }], 'json'], [null, 'json']]
  for (const [value, kind] of kinds) expect(kindOf(value), JSON.stringify(value)).toBe(kind)
})

test('only what differs from the rule is kept', () => {
  const standard = { seconds: 86400, roles: ['a', 'b'], map: { x: '1', y: '2' } }
  const own = changedParams(standard, undefined, 'seconds', 60)
  expect(own).toEqual({ seconds: 60 })
  expect(valueOf(standard, own, 'seconds')).toBe(60)
  expect(valueOf(standard, own, 'roles')).toEqual(['a', 'b'])
  expect(changedParams(standard, own, 'seconds', 86400)).toBeUndefined()
  expect(changedParams(standard, own, 'map', { y: '2', x: '1' })).toEqual({ seconds: 60 }) // another order is no difference
  expect(changedParams(standard, own, 'roles', ['b', 'a'])).toEqual({ seconds: 60, roles: ['b', 'a'] })
})

test('what has no standard value has the empty one of its type', () => {
  expect(standardOf([{ name: 'a', type: 'array' }, { name: 'b', type: 'boolean' }, { name: 'c', type: 'string', default: 'x' }, { name: 'd', type: '' }])).toEqual({ a: [], b: false, c: 'x', d: null })
})

test('texts are read', () => {
  expect(readNumbers(['1', ' 2.5', 'x', ''])).toEqual([1, 2.5])
  expect(readMap('pods=\nservices = core\n\n')).toEqual({ pods: '', services: 'core' })
  expect(readMap(writeMap({ a: 'b=c' }))).toEqual({ a: 'b=c' })
  expect(readJson('{"a":1}')).toEqual({ value: { a: 1 } })
  expect(readJson('{')).toHaveProperty('fault')
  expect(same({ a: [1, { b: 2, c: 3 }] }, { a: [1, { c: 3, b: 2 }] })).toBe(true)
})
