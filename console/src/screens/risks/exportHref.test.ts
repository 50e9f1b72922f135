import { expect, test } from 'vitest'

import { exportHref } from './exportHref'

test('an export has the filter and the order of the list', () => {
  const url = new URL(exportHref({ severity: 'critical,high', target: '3', namespace: 'shop', q: 'a&b' }, '-severity', 'sarif', 'zh'), 'https://stockade.example.com')
  expect(url.pathname).toBe('/api/v1/findings/export')
  expect(Object.fromEntries(url.searchParams)).toEqual({ severity: 'critical,high', target: '3', namespace: 'shop', withImages: 'true', q: 'a&b', sort: '-severity', form: 'sarif', lang: 'zh' })
})
