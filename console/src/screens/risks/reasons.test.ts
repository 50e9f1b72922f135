import { expect, test } from 'vitest'

import { reasonOf } from './reasons'

test.each([
  ['CVSS 9.8, rated critical', { key: 'cvss', score: '9.8', severity: 'critical' }],
  ['rated high', { key: 'rated', severity: 'high' }],
  ['known to be exploited since 2021-12-10', { key: 'exploited', since: '2021-12-10' }],
  ['EPSS 97 %', { key: 'epss', percent: 97 }],
  ['runs as root', { key: 'root' }],
  ['something new', { key: 'other', text: 'something new' }],
])('%s', (text, want) => {
  expect(reasonOf(text)).toEqual(want)
})
