import i18next from 'i18next'
import { beforeAll, describe, expect, test } from 'vitest'

import { scopeWords } from './scopeWords'
import type { Scope } from './shapes'
import { list } from '../../text/format'
import { setLanguage } from '../../text/start'

const names: Record<string, string> = { '1': 'east', '2': 'west' }
const words = (scope?: Scope) => scopeWords(scope, i18next.getFixedT(null, 'policies') as never, list, (id) => names[id] ?? id)

describe('the scope of a policy in words', () => {
  test('everywhere is said too', () => {
    expect(words()).toEqual(['all protected clusters', 'all namespaces but system ones'])
  })
  test('with system namespaces nothing is left out', () => {
    expect(words({ systemNamespaces: true })[1]).toBe('all namespaces, system ones too')
  })
  test('each part is one sentence', () => {
    expect(words({ clusters: ['1', '2'] as never, namespaces: ['shop-*'], excludedNamespaces: ['shop-test'], systemNamespaces: true, namespaceSelector: 'team=shop', kinds: ['Pod'], operations: ['CREATE'], exceptUsers: ['ci'], exceptGroups: ['admins'] })).toEqual([
      'in east and west',
      'namespaces shop-*',
      'system namespaces too',
      'but not in shop-test',
      'namespaces with team=shop',
      'only Pod',
      'only CREATE',
      'not requests of ci and admins',
    ])
  })
  test('of many names the first are told', () => {
    expect(words({ namespaces: ['a', 'b', 'c', 'd', 'e'] })[1]).toBe('namespaces a, b, and 3 more')
  })
})

describe('in Chinese', () => {
  beforeAll(() => setLanguage('zh'))
  test('the same', () => {
    expect(words({ namespaces: ['shop'], exceptUsers: ['ci'] })).toEqual(['所有受防护集群', '命名空间 shop', '豁免 ci'])
  })
})
