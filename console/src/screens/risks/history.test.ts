import { expect, test } from 'vitest'

import { wordsOf } from './history'

test('people are told by what they did, scans by what they saw', () => {
  expect(wordsOf({ action: 'ignore', before: 'open', after: 'ignored', cause: 'by-hand' })).toEqual({ what: 'ignore' })
  expect(wordsOf({ action: 'seen', before: 'open', after: 'fixed', cause: 'object-changed' })).toEqual({ what: 'seen', cause: 'object-changed' })
  expect(wordsOf({ action: 'seen', before: 'open', after: 'open', cause: 'rule-changed' })).toEqual({ what: 'changed', cause: 'rule-changed' })
  expect(wordsOf({ action: 'new-one', before: 'open', after: 'gone' })).toEqual({ what: 'seen' })
})
