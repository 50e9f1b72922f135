import { expect, test } from 'vitest'

import { asked, byFramework, bySection, compare, outcomesOf, score, webLink, type Line } from './model'

const line = (framework: string, target: string, pass: number, fail: number, judgedAt: string): Line => ({
  framework, target, targetId: target, title: framework, clauses: 5, pass, fail, manual: 1, notApplicable: 0, accepted: 1, attested: 1, score: 0, judgedAt,
})

test('clusters of a framework are summed, and the oldest look is told', () => {
  const list = byFramework([line('nsa', 'a', 1, 3, '2026-03-02T00:00:00Z'), line('nsa', 'b', 2, 0, '2026-03-01T00:00:00Z')])
  expect(list).toHaveLength(1)
  expect(list[0]).toMatchObject({ pass: 3, fail: 3, manual: 2, accepted: 2, score: 50, oldest: '2026-03-01T00:00:00Z' })
  expect(list[0]!.clusters.map((c) => c.target)).toEqual(['a', 'b'])
})

test('the newest version of a standard comes first', () => {
  const ids = ['pss-restricted', 'cis-1.9', 'nsa', 'cis-1.12', 'pss-baseline', 'mlps-2.0', 'cis-1.10']
  expect(ids.map((framework) => ({ framework })).sort(compare).map((f) => f.framework)).toEqual(['cis-1.12', 'cis-1.10', 'cis-1.9', 'mlps-2.0', 'nsa', 'pss-baseline', 'pss-restricted'])
})

test('nothing decided has no score, and a share is never rounded up', () => {
  expect(score(0, 0)).toBe(-1)
  expect(score(199, 1)).toBe(99)
})

test('who asks for what fails gets what fails by accepted findings too', () => {
  expect(asked(['fail'])).toEqual(['fail', 'fail-accepted'])
  expect(asked(['fail-accepted'])).toEqual(['fail-accepted'])
  expect(asked(['nonsense', 'manual'])).toEqual(['manual'])
  expect(asked([])).toEqual([])
})

test('sections keep their order', () => {
  const list = [{ section: 'b', n: 1 }, { section: 'b', n: 2 }, { section: 'a', n: 3 }, { section: 'b', n: 4 }]
  expect(bySection(list).map((s) => [s.section, s.items.length])).toEqual([['b', 2], ['a', 1], ['b', 1]])
})

test('accepted failures are told apart from others', () => {
  expect(outcomesOf({ pass: 1, fail: 3, failAccepted: 2, manual: 0, notApplicable: 0 })).toEqual([
    { outcome: 'fail', count: 1 },
    { outcome: 'fail-accepted', count: 2 },
    { outcome: 'pass', count: 1 },
  ])
})

test('only addresses of the web are links', () => {
  expect(webLink('https://example.com/x')).toBe('https://example.com/x')
  expect(webLink('javascript:alert(1)')).toBeUndefined()
  expect(webLink(undefined)).toBeUndefined()
})
