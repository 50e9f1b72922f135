import { expect, test } from 'vitest'

import { asKubectl, buckets, csvOf, hitsByRule, sampleOf, type Group, type Owner, named } from './preview'

const owner = (name: string, namespace: string, more: Partial<Owner> = {}): Owner => ({ cluster: 'east', target: '1', kind: 'Deployment', namespace, name, count: 1, message: { en: `${name} is bad`, zh: '' }, ...more }) as Owner
const group = (rule: string, action: Group['action'], owners: Owner[], more: Partial<Group> = {}): Group =>
  ({ rule, ruleId: 'STK-1', title: { en: rule, zh: rule }, severity: 'high', action, count: owners.length, owners, namespaces: owners.map((o) => ({ cluster: 'east', namespace: o.namespace, count: o.count })), ...more }) as Group

const groups = [group('a/audit', 'audit', [owner('web', 'shop'), owner('db', 'shop')]), group('a/block', 'block', [owner('web', 'shop', { refusal: '[STK-1] no' }), owner('till', 'pay', { count: 3, refusal: '[STK-1] no, till' })], { severity: 'critical' })]

test('hits are put together by owner, the sharpest first', () => {
  expect(buckets(groups, 'owner').map((b) => [b.owner!.name, b.worst, b.count])).toEqual([['till', 'block', 3], ['web', 'block', 2], ['db', 'audit', 1]])
})

test('namespaces are counted whole, also where not all owners are listed', () => {
  const cut = [group('a/b', 'warn', [owner('web', 'shop')], { namespaces: [{ cluster: 'east', namespace: 'shop', count: 120 }] as Group['namespaces'] })]
  expect(buckets(cut, 'namespace').map((b) => [b.namespace, b.count, b.hits.length])).toEqual([['shop', 120, 1]])
})

test('what an exception lets pass is not hit', () => {
  expect(buckets([group('a/b', 'block', [owner('web', 'shop', { exception: '4' } as Partial<Owner>)], { namespaces: [] })], 'owner')).toEqual([])
})

test('the example is the sharpest and gravest that has a text', () => {
  expect(sampleOf(groups)?.group.rule).toBe('a/block')
  expect(sampleOf([group('a/b', 'block', [owner('web', 'shop')])])).toBeUndefined()
})

test('it reads as kubectl writes it', () => {
  expect(asKubectl('block', '[STK-1] no', { kind: 'Deployment', name: 'web' })).toBe('Error from server (Forbidden): admission webhook "validation.gatekeeper.sh" denied the request: [STK-1] no')
  expect(asKubectl('warn', '[STK-1] hm', { kind: 'Deployment', name: 'web' })).toBe('Warning: [STK-1] hm\ndeployment/web created')
})

test('the table quotes what must be quoted, and holds no formula', () => {
  const text = csvOf([group('a/b', 'block', [owner('=cmd()', 'sh,op')])], ['x'])
  expect(text.split('\r\n')[1]).toBe(`block,high,STK-1,a/b,a/b,east,"sh,op",Deployment,'=cmd(),,1,'=cmd() is bad`)
})

test('each rule has its number of objects', () => {
  expect(hitsByRule(groups).get('a/block')).toBe(2)
})

test('the sample has the name that is being typed', () => {
  expect(named('x. Policy "preview"; more', ' No $& ')).toBe('x. Policy "No $&"; more')
  expect(named('x. Policy "preview"; more', ' ')).toBe('x. Policy "preview"; more')
  expect(named('x. Policy "preview"; more', '🔥'.repeat(100))).toBe(`x. Policy "${'🔥'.repeat(13)}…${'🔥'.repeat(26)}"; more`)
})
