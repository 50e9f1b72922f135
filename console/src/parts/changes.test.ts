import { expect, test } from 'vitest'

import { changes, pretty } from './changes'

test('a changed field is the only one with signs', () => {
  const text = changes('{"name":"a","kind":"x"}', '{"name":"b","kind":"x"}')
  expect(text.split('\n')).toEqual([' {', '-  "name": "a",', '+  "name": "b",', '   "kind": "x"', ' }'])
})

test('what was made or removed has one sign', () => {
  expect(changes('', '{"a":1}')).toBe('+{\n+  "a": 1\n+}')
  expect(changes('{"a":1}', undefined)).toBe('-{\n-  "a": 1\n-}')
  expect(changes(undefined, undefined)).toBe('')
})

test('what is no JSON is shown as it is', () => {
  expect(pretty('not json')).toEqual(['not json'])
  expect(changes('x', 'x')).toBe(' x')
})

test('long states are not compared line by line', () => {
  const long = JSON.stringify(Array.from({ length: 3000 }, (_, n) => n))
  expect(changes(long, long).split('\n').length).toBe(6004)
})
