import { describe, expect, test } from 'vitest'

import { changed, listOf } from './search'

describe('the search of the URL', () => {
  test('takes lists with commas, and drops what is empty', () => {
    expect(changed({ severity: 'high', q: 'nginx' }, { severity: ['critical', 'high'], q: '', kev: true, open: null })).toEqual({ severity: 'critical,high', kev: 'true' })
  })
  test('does not change what it was given', () => {
    const old = { q: 'a' }
    changed(old, { q: 'b' })
    expect(old).toEqual({ q: 'a' })
  })
  test('reads lists', () => {
    expect(listOf(undefined)).toEqual([])
    expect(listOf('a,,b')).toEqual(['a', 'b'])
  })
})
