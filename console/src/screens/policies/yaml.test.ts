import { expect, test } from 'vitest'

import { shortened } from './DiffOf'
import { toYaml } from './yaml'

test('values are written as people write YAML', () => {
  expect(toYaml({ name: 'pods', on: true, count: 3, rules: [{ rule: 'a/b', params: { list: ['x', 'y'] } }, { rule: 'c/d' }], none: [], scope: {} })).toBe(
    ['name: pods', '"on": true', 'count: 3', 'rules:', '- rule: a/b', '  params:', '    list:', '    - x', '    - "y"', '- rule: c/d', 'none: []', 'scope: {}'].join('\n'),
  )
})

test('words that YAML would read otherwise are quoted', () => {
  expect(toYaml({ a: 'true', b: '0123', c: 'x: y', d: '# no', e: '', f: ' x', g: '*', h: 'shop-*' })).toBe(['a: "true"', 'b: "0123"', 'c: "x: y"', 'd: "# no"', 'e: ""', 'f: " x"', 'g: "*"', 'h: shop-*'].join('\n'))
})

test('texts of several lines stand as such', () => {
  expect(toYaml({ pem: 'a\nb\n', x: ['c\nd'] })).toBe('pem: |\n  a\n  b\nx:\n- |-\n    c\n    d')
})

test('of a long difference what did not change is left out', () => {
  const same = Array.from({ length: 20 }, (_, i) => ` line ${i}`)
  const out = shortened([...same.slice(0, 10), '-old', '+new', ...same.slice(10)].join('\n')).split('\n')
  expect(out[0]).toBe('@@')
  expect(out).toContain('-old')
  expect(out).toHaveLength(10)
})
