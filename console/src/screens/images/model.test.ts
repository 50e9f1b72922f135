import { expect, test } from 'vitest'

import { checks, imageKey, isKey, moves, pinned, plus, shortDigest, sum, type Image } from './model'

const now = Date.parse('2026-11-21T00:00:00Z')

function image(change: Partial<Image>): Image {
  return {
    advice: { upgrades: [], clears: 0, noFix: 0 },
    base: { how: 'unknown', reason: '', layers: 0 },
    fixable: 0,
    gaps: [],
    kinds: {},
    layers: [],
    packages: 0,
    read: true,
    references: ['registry.example.com/shop/till:1.0'],
    split: { base: {}, own: {}, elsewhere: {} },
    uses: [],
    user: 'app',
    created: '2026-11-01T00:00:00Z',
    os: { id: 'debian' },
    healthcheck: true,
    ...change,
  }
}

const keys = (change: Partial<Image>) => checks(image(change), now).map((c) => c.key)

test('a careful image has nothing to look at', () => expect(keys({})).toEqual([]))

test('root by every spelling', () => {
  for (const user of ['', undefined, 'root', '0', '0:0', 'root:app']) expect(keys({ user })).toEqual(['root'])
  for (const user of ['1000', '1000:0', 'rooted']) expect(keys({ user })).toEqual([])
})

test('references that move', () => {
  for (const r of ['busybox', 'busybox:latest', 'registry.example.com:5000/a/b', 'registry.example.com:5000/a/b:latest']) expect(moves(r)).toBe(true)
  for (const r of ['busybox:1', 'registry.example.com:5000/a/b:1', 'busybox@sha256:00', 'busybox:latest@sha256:00']) expect(moves(r)).toBe(false)
  expect(checks(image({ references: ['a', 'b:1', 'c:latest'] }), now)).toEqual([{ key: 'latest', value: 'a, c:latest' }])
})

test('ports, age, health, system', () => {
  expect(checks(image({ ports: ['22/tcp', '8080/tcp', '2222/tcp'] }), now)).toEqual([{ key: 'admin', value: '22/tcp' }])
  expect(keys({ created: '2025-01-01T00:00:00Z' })).toEqual(['old'])
  expect(keys({ created: undefined })).toEqual(['undated'])
  expect(keys({ os: undefined, healthcheck: undefined })).toEqual(['system', 'health'])
})

test('keys of addresses', () => {
  const digest = 'sha256:' + 'a'.repeat(64)
  expect(imageKey({ digest, id: '7' })).toBe(digest)
  expect(imageKey({ digest: '', id: '7' })).toBe('7')
  for (const key of [digest, '7', '123456789012345678']) expect(isKey(key)).toBe(true)
  for (const key of ['', '0', '../x', 'sha256:A', digest + 'a', 'javascript:alert(1)', '7?x']) expect(isKey(key)).toBe(false)
  expect(shortDigest(digest)).toBe('aaaaaaaaaaaa')
})

test('sums of severities', () => {
  expect(plus({ high: 1 }, undefined, { high: 2, low: 3 })).toEqual({ high: 3, low: 3 })
  expect(sum({ high: 3, low: 3 })).toBe(6)
  expect(sum(undefined)).toBe(0)
})

test('an image is named by its digest in the repository that it was asked for in', () => {
  const digest = 'sha256:' + 'a'.repeat(64)
  expect(pinned({ reference: 'registry.example.com:5000/shop/web:1.0', digest })).toBe(`registry.example.com:5000/shop/web@${digest}`)
  expect(pinned({ reference: `registry.example.com/shop/web:1.0@${digest}`, digest })).toBe(`registry.example.com/shop/web@${digest}`)
  expect(pinned({ reference: 'web', digest })).toBe(`web@${digest}`)
})
