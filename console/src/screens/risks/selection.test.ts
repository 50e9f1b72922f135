import { describe, expect, test } from 'vitest'

import { changedTo, countOf, meant, none, offersAll, shownIds, undoing, type Selected } from './selection'

const some: Selected = { all: false, ids: new Set(['1', '2']) }

describe('a selection', () => {
  test('marks all loaded rows when all are meant', () => {
    expect([...shownIds({ all: true }, ['1', '2', '3'])]).toEqual(['1', '2', '3'])
    expect([...shownIds(some, ['1', '2', '3'])]).toEqual(['1', '2'])
  })
  test('counts what is not loaded too', () => {
    expect(countOf({ all: true }, 5000)).toBe(5000)
    expect(countOf(some, 5000)).toBe(2)
    expect(countOf(none, 5000)).toBe(0)
  })
  test('offers all when every loaded row is selected and there are more', () => {
    expect(offersAll(some, ['1', '2'], true)).toBe(true)
    expect(offersAll(some, ['1', '2'], false)).toBe(false)
    expect(offersAll(some, ['1', '2', '3'], true)).toBe(false)
    expect(offersAll(none, [], true)).toBe(false)
    expect(offersAll({ all: true }, ['1'], true)).toBe(false)
  })
  test('is some rows again after one is unmarked', () => {
    expect(changedTo(new Set(['1']))).toEqual({ all: false, ids: new Set(['1']) })
  })
})

describe('for the API', () => {
  test('some rows are ids, all are the filter', () => {
    expect(meant(some, { kind: 'secret' })).toEqual({ ids: ['1', '2'] })
    expect(meant({ all: true }, { kind: 'secret' })).toMatchObject({ filter: { kinds: ['secret'] } })
  })
  test('taking back means only what the action changed', () => {
    const since = '2026-05-20T12:00:00Z'
    expect(undoing({ ids: ['1', '2'] }, 'ignore', since)).toEqual({ filter: { ids: [1, 2], statuses: ['ignored'], changedSince: since } })
    expect(undoing(meant({ all: true }, { kind: 'secret', status: 'ignored' }), 'unignore', since)).toMatchObject({ filter: { kinds: ['secret'], statuses: ['open', 'reopened', 'unseen'], changedSince: since } })
  })
})
