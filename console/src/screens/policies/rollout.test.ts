import { expect, test } from 'vitest'

import { at, dayOf, fromDay, inDays, stages } from './rollout'

const rollout = { warnFrom: '2026-12-01T00:00:00Z', blockFrom: '2026-12-15T00:00:00Z' }
const day = (d: string) => new Date(`2026-${d}T12:00:00Z`)

test('what a policy does sharpens on its days', () => {
  expect(['11-30', '12-01', '12-14', '12-15'].map((d) => at({ rollout }, 'block', day(d)))).toEqual(['audit', 'warn', 'warn', 'block'])
  expect(at({ rollout }, 'warn', day('12-20'))).toBe('warn')
  expect(at({}, 'block')).toBe('block')
  expect(at({ rollout: { blockFrom: rollout.blockFrom } }, 'block', day('12-01'))).toBe('warn')
})

test('the stages stand in order, and one of them is now', () => {
  expect(stages({ rollout }, 'block', day('12-02'))).toEqual([
    { action: 'audit', from: undefined, now: false },
    { action: 'warn', from: rollout.warnFrom, now: true },
    { action: 'block', from: rollout.blockFrom, now: false },
  ])
  expect(stages({}, 'block', day('12-02'))).toEqual([{ action: 'block', from: undefined, now: true }])
  expect(stages({ rollout }, 'audit', day('12-02'))).toEqual([{ action: 'audit', from: undefined, now: true }])
  // Both on one day: warning is skipped.
  expect(stages({ rollout: { warnFrom: rollout.warnFrom, blockFrom: rollout.warnFrom } }, 'block', day('11-02')).map((s) => s.action)).toEqual(['audit', 'block'])
})

test('days go into the API and back', () => {
  expect(fromDay('2026-12-01')).toBe('2026-12-01T00:00:00Z')
  expect(dayOf('2026-12-01T00:00:00Z')).toBe('2026-12-01')
  expect([fromDay(''), fromDay('2026-13-40'), fromDay('soon'), dayOf(undefined)]).toEqual([undefined, undefined, undefined, ''])
  expect(inDays(14, new Date('2026-12-25T23:00:00Z'))).toBe('2027-01-08')
})
