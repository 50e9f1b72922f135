import { expect, test } from 'vitest'

import { filterFor, fitting, reportFilter, searchOf, viewOf } from './model'

test('the clusters of the scope hold where a view names none', () => {
  expect(filterFor({ severity: 'critical,high', view: 'findings' }, ['3', '5'])).toEqual({ severity: 'critical,high', target: '3,5' })
  expect(filterFor({ target: '1' }, ['3'])).toEqual({ target: '1' })
  expect(filterFor(undefined, [])).toEqual({})
})

test('a filter becomes that of a report and back', () => {
  const filter = filterFor({ severity: 'critical', kev: 'true', namespace: 'shop', q: 'till', priority: '50' }, ['3'])
  const body = reportFilter(filter)
  expect(body).toMatchObject({ severities: ['critical'], kev: true, namespaces: ['shop'], q: 'till', priority: 50, targets: [3] })
  expect(searchOf(body)).toEqual({ view: 'findings', severity: 'critical', kev: 'true', namespace: 'shop', q: 'till', priority: '50', target: '3' })
})

test('the view of a report is found by its filter', () => {
  const views: { name: string; search: Record<string, string> }[] = [
    { name: 'worst', search: { severity: 'critical', view: 'findings' } },
    { name: 'of one', search: { severity: 'critical', target: '7' } },
  ]
  expect(viewOf({ severities: ['critical'] }, views)).toBe('worst')
  expect(viewOf({ severities: ['critical'], targets: [7] }, views)).toBe('of one')
  expect(viewOf({ severities: ['critical'], targets: [8] }, views)).toBe('worst')
  expect(viewOf({ targets: [1] }, views)).toBe('')
  expect(viewOf({ severities: ['low'] }, views)).toBeUndefined()
})

test('a form that is not offered becomes the first', () => {
  expect(fitting('sarif', ['html', 'csv'])).toBe('html')
  expect(fitting('csv', ['html', 'csv'])).toBe('csv')
})
