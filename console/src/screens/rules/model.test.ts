import { describe, expect, it } from 'vitest'

import { digitsOf, grouped, kindName, safeLink } from './model'

describe('safeLink', () => {
  it('takes addresses of the web', () => expect(safeLink('https://kubernetes.io/docs/')).toBe('https://kubernetes.io/docs/'))
  it.each(['javascript:alert(1)', 'data:text/html,x', 'ftp://x', 'nonsense', '', '//x.example.com'])('does not take %s', (s) => expect(safeLink(s)).toBeUndefined())
})

it('kindName leaves the group out', () => {
  expect(kindName('Ingress.networking.k8s.io')).toBe('Ingress')
  expect(kindName('kubelet')).toBe('kubelet')
})

it('digitsOf keeps small shares apart', () => {
  expect([0.97, 0.05, 0.0004].map(digitsOf)).toEqual([0, 1, 2])
})

it('grouped keeps the order', () => {
  expect(grouped([{ framework: 'b', clause: '1' }, { framework: 'a', clause: '2' }, { framework: 'b', clause: '3' }]).map(([f, list]) => f + list.map((c) => c.clause).join())).toEqual(['b1,3', 'a2'])
})
