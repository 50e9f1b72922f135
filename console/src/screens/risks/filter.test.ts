import { describe, expect, test } from 'vitest'

import { changed } from '../../parts/search'
import { assetKindOf, bodyOf, chipsOf, emptied, filterOf, ofRisk, queryOf, searchOf, toggled, viewOf, without } from './filter'

describe('the filter in the URL', () => {
  test('is read and written without loss', () => {
    const url = {
      target: '3,7', namespace: 'shop,bank', kind: 'secret', severity: 'critical,high', status: 'ignored', rule: 'workload/privileged-container', q: 'nginx', asset: '12', kev: 'true', fixable: 'false',
      firstSince: '2026-05-01T00:00:00Z', framework: 'cis', clause: '5.2.1',
    }
    expect(searchOf(filterOf(url))).toEqual(url)
  })
  test('leaves out what makes no sense', () => {
    expect(filterOf({ kind: 'secret,nonsense', severity: 'loud', target: 'x,-1,5', asset: '1e3', kev: 'maybe', firstSince: 'yesterday', framework: 'cis', view: 'findings', open: '4' })).toEqual({ kind: 'secret', target: '5' })
  })
  test('has a view and a kind of asset', () => {
    expect([viewOf({}), viewOf({ view: 'assets' }), viewOf({ view: 'x' })]).toEqual(['risks', 'assets', 'risks'])
    expect([assetKindOf({}), assetKindOf({ by: 'image' })]).toEqual(['workload', 'image'])
  })
  test('a fingerprint is of a cluster', () => {
    const fingerprint = 'f82557c75ad5baf61c07c83f18101fb3'
    expect(filterOf({ fingerprint, target: '3' })).toEqual({ fingerprint, target: '3' })
    expect(filterOf({ fingerprint })).toEqual({})
    expect(filterOf({ fingerprint: 'x', target: '3' })).toEqual({ target: '3' })
  })
  test('is cleared whole', () => {
    expect(changed({ kind: 'secret', q: 'a', open: '3', view: 'findings', sort: '-severity' }, emptied())).toEqual({ view: 'findings', sort: '-severity' })
  })
})

describe('the filter for the API', () => {
  test('has numbers for ids, and lists', () => {
    const q = queryOf({ target: '3,7', severity: 'critical', priority: '70' })
    expect(q).toMatchObject({ target: [3, 7], severity: ['critical'], priority: 70 })
    expect(q.namespace).toBeUndefined()
  })
  test('counts images that run in a namespace when clusters are named', () => {
    expect(queryOf({ target: '3', namespace: 'shop' }).withImages).toBe(true)
    expect(queryOf({ namespace: 'shop' }).withImages).toBeUndefined()
    expect(queryOf({ target: '3' }).withImages).toBeUndefined()
  })
  test('is the same for lists and for actions', () => {
    expect(bodyOf({ target: '3', kind: 'secret', kev: 'true', fixable: 'false', rule: 'a/b', status: 'open' })).toMatchObject({ targets: [3], kinds: ['secret'], kev: true, fixable: false, rule: 'a/b', statuses: ['open'] })
    expect(bodyOf({ namespace: 'shop', target: '1' })).not.toHaveProperty('namespace')
  })
})

describe('chips', () => {
  const f = { severity: 'critical,high', q: 'nginx', framework: 'cis', clause: '1.1', target: '3', namespace: 'shop' }
  test('are the single conditions', () => {
    expect(chipsOf(f).map((c) => `${c.field}=${c.value}`)).toEqual(['target=3', 'namespace=shop', 'severity=critical', 'severity=high', 'framework=cis', 'q=nginx'])
  })
  test('go one by one', () => {
    expect(without(f, { field: 'severity', value: 'critical' })).toEqual({ severity: ['high'] })
    expect(without(f, { field: 'q', value: 'nginx' })).toEqual({ q: undefined })
    expect(without(f, { field: 'framework', value: 'cis' })).toEqual({ framework: undefined, clause: undefined })
  })
  test('the last cluster takes the namespaces with it', () => {
    expect(without(f, { field: 'target', value: '3' })).toEqual({ target: undefined, namespace: undefined, fingerprint: undefined })
  })
  test('values are put in and taken out', () => {
    expect(toggled(f, 'severity', 'low')).toEqual({ severity: ['critical', 'high', 'low'] })
    expect(toggled(f, 'severity', 'high')).toEqual({ severity: ['critical'] })
    expect(toggled({ kev: 'true' }, 'kev', 'true')).toEqual({ kev: undefined })
    expect(toggled({}, 'rule', 'a/b')).toEqual({ rule: 'a/b' })
  })
})

test('the number of a risk leads to what it counts', () => {
  const risk = { rule: 'CVE-2021-44228', kind: 'application-vulnerability' }
  expect(ofRisk({ severity: 'critical', target: '3' }, risk)).toEqual({ ...risk, target: '3', view: 'findings' })
  expect(ofRisk({ severity: 'critical', namespace: 'shop', target: '3' }, risk)).toEqual({ ...risk, target: '3', namespace: 'shop', severity: 'critical', view: 'findings' })
})
