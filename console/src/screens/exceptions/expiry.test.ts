import { expect, test } from 'vitest'

import { fault, lastDay } from './expiry'

const now = new Date('2026-05-20T23:30:00Z')
const settings = { maxDays: 365, allowUnlimited: false }

test('an end is a last day', () => {
  expect(lastDay({ how: 'days', days: 30 }, now)).toBe('2026-06-19')
  expect(lastDay({ how: 'date', date: '2026-07-01' }, now)).toBe('2026-07-01')
  expect(lastDay({ how: 'none' }, now)).toBeUndefined()
})
test('the settings bound it', () => {
  expect(fault({ how: 'days', days: 30 }, settings, now)).toBeUndefined()
  expect(fault({ how: 'days', days: 365 }, settings, now)).toBeUndefined()
  expect(fault({ how: 'days', days: 366 }, settings, now)).toBe('long')
  expect(fault({ how: 'date', date: '2026-05-19' }, settings, now)).toBe('past')
  expect(fault({ how: 'date', date: '' }, settings, now)).toBe('needed')
  expect(fault({ how: 'days', days: 0 }, settings, now)).toBe('needed')
  expect(fault({ how: 'none' }, settings, now)).toBe('unlimited')
  expect(fault({ how: 'none' }, { ...settings, allowUnlimited: true }, now)).toBeUndefined()
})
