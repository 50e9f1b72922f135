import { expect, test } from 'vitest'

import { inside } from './next'

test.each([
  [undefined, '/'],
  ['/risks?severity=high', '/risks?severity=high'],
  ['//evil.example.com', '/'],
  ['/\\evil.example.com', '/'],
  ['https://evil.example.com', '/'],
  ['javascript:alert(1)', '/'],
  ['/sign-in?next=/', '/'],
])('after the sign-in %s goes to %s', (next, want) => expect(inside(next)).toBe(want))
