import { expect, test } from 'vitest'

import { matches, newest, safe, standing, sumsOf } from './verdicts'

const none = { exposed: 0, unknown: 0, versionOnly: 0, fixedByBackport: 0, fixed: 0, notPresent: 0, looked: 0, notLooked: 0 }

test('counts of nodes, images and clusters are added, or taken alone', () => {
  const counts = { node: { ...none, exposed: 1, looked: 3, notPresent: 2, notLooked: 4 }, image: { ...none, versionOnly: 5, looked: 5 } }
  expect(sumsOf(counts)).toMatchObject({ exposed: 1, 'version-only': 5, looked: 8, notLooked: 4, 'not-present': 2 })
  expect(sumsOf(counts, 'image')).toMatchObject({ exposed: 0, 'version-only': 5, looked: 5, notLooked: 0 })
})

test('what was not looked at never looks like what is clear', () => {
  expect(standing(sumsOf({}))).toBe('not-looked')
  expect(standing(sumsOf({ node: { ...none, notLooked: 3 } }))).toBe('not-looked')
  expect(standing(sumsOf({ node: { ...none, looked: 2, notPresent: 2, notLooked: 1 } }))).toBe('in-part')
  expect(standing(sumsOf({ node: { ...none, looked: 2, notPresent: 2 } }))).toBe('clear')
  expect(standing(sumsOf({ node: { ...none, looked: 2, versionOnly: 2 } }))).toBe('version-only')
  expect(standing(sumsOf({ node: { ...none, looked: 2, versionOnly: 1, unknown: 1 } }))).toBe('unknown')
  expect(standing(sumsOf({ node: { ...none, looked: 2, unknown: 1, exposed: 1 } }))).toBe('exposed')
})

test('the newest stand first, those without a day last', () => {
  const list = [{ id: 'A' }, { id: 'B', published: '2021-12-10' }, { id: 'C', published: '2024-01-31' }]
  expect([...list].sort(newest).map((e) => e.id)).toEqual(['C', 'B', 'A'])
})

test('words are looked for in id, name, title and aliases', () => {
  const e = { id: 'CVE-2024-21626', name: 'Leaky Vessels', title: 'runc leaks a file descriptor', aliases: ['GHSA-xr7r-f8xq-vfvv'] }
  expect(matches(e, 'leaky RUNC')).toBe(true)
  expect(matches(e, 'ghsa')).toBe(true)
  expect(matches(e, 'leaky etcd')).toBe(false)
})

test('only web addresses become links', () => {
  expect(safe('https://example.com/x')).toBe('https://example.com/x')
  expect(safe('javascript:alert(1)')).toBeUndefined()
})
