import { expect, test } from 'vitest'

import { findings, fixed, gaps, reason, recent, step } from './links'

const everything = { target: [], namespace: [] }
const part = { target: ['3', '4'], namespace: ['shop'] }

test('numbers link to the list that they count, in the scope of the page', () => {
  expect(findings(everything, { severity: 'high', kind: 'secret' })).toEqual({ to: '/risks', search: { view: 'findings', severity: 'high', kind: 'secret' } })
  expect(findings(part)).toEqual({ to: '/risks', search: { view: 'findings', target: '3,4', namespace: 'shop', withImages: 'true' } })
  expect(gaps(part, 'forbidden')).toEqual({ to: '/gaps', search: { target: '3,4', code: 'forbidden' } })
  expect(recent(everything, '2026-05-01T00:00:00Z', 'low').search).toEqual({ view: 'findings', firstSince: '2026-05-01T00:00:00Z', severity: 'low' })
  expect(fixed(everything, '2026-05-01T00:00:00Z').search).toEqual({ view: 'findings', status: 'fixed,gone', changedSince: '2026-05-01T00:00:00Z' })
})

test('every deduction and every step leads somewhere', () => {
  expect(reason(everything, 'known-exploited').search).toEqual({ view: 'findings', kev: 'true' })
  expect(reason(everything, 'critical').search).toEqual({ view: 'findings', severity: 'critical' })
  expect(reason(part, 'not-scanned').to).toBe('/gaps')
  expect(reason(everything, 'not-looked-at')).toEqual({ to: '/assets/clusters', search: { stale: 'true' } })
  expect(step(everything, 'risk', { rule: 'CVE-2021-44228', kind: 'application-vulnerability' }).search).toEqual({ view: 'findings', rule: 'CVE-2021-44228', kind: 'application-vulnerability' })
  expect(step(part, 'gaps', { code: 'limit' })).toEqual({ to: '/gaps', search: { target: '3,4', code: 'limit' } })
  expect(step(everything, 'scan', { id: '7', kind: 'cluster' }).to).toBe('/clusters/7')
  expect(step(everything, 'scan', { id: '7', kind: 'project' }).to).toBe('/iac')
  expect(step(everything, 'scan', {}).search).toEqual({ stale: 'true' })
})
