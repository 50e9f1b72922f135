import { afterEach, describe, expect, test } from 'vitest'

import { bytes, compact, date, dateTime, duration, list, missing, number, percent, relative, setTimeZone } from './format'
import { setLanguage } from './start'

const noon = '2026-03-01T12:00:00Z'

describe.each([
  ['en', { number: '1,234,567', compact: '12.3K', percent: '42%', small: '0.4%', date: 'Mar 1, 2026', ago: '3 hours ago', soon: 'in 2 days', bytes: '1.5 MB', list: 'a, b, and c' }],
  ['zh', { number: '1,234,567', compact: '1.2万', percent: '42%', small: '0.4%', date: '2026年3月1日', ago: '3小时前', soon: '后天', bytes: '1.5 MB', list: 'a、b和c' }],
] as const)('in %s', (lang, want) => {
  afterEach(() => setTimeZone('UTC'))
  test('numbers, dates and words follow the language', async () => {
    await setLanguage(lang)
    const now = Date.parse(noon)
    expect(number(1234567)).toBe(want.number)
    expect(compact(12345)).toBe(want.compact)
    expect(percent(0.42)).toBe(want.percent)
    expect(percent(0.004)).toBe(want.small)
    expect(date(noon)).toBe(want.date)
    expect(relative('2026-03-01T09:00:00Z', now)).toBe(want.ago)
    expect(relative('2026-03-03T12:00:00Z', now)).toBe(want.soon)
    expect(bytes(1.5 * 1024 * 1024)).toBe(want.bytes)
    expect(list(['a', 'b', 'c'])).toBe(want.list)
    await setLanguage('en')
  })
})

test('times follow the time zone that was chosen', () => {
  expect(dateTime(noon)).toContain('12:00:00')
  setTimeZone('Asia/Shanghai')
  expect(dateTime(noon)).toContain('20:00:00')
  setTimeZone('UTC')
})

test('durations have two units at most', () => {
  expect(duration(450)).toBe('0.5 sec')
  expect(duration(65_000)).toBe('1 min 5 sec')
  expect(duration(7_380_000)).toBe('2 hr 3 min')
  expect(duration(3 * 86_400_000)).toBe('3 days')
})

test('a time that is not there is missing', () => {
  for (const at of [undefined, null, '', '0001-01-01T00:00:00Z', 'never']) expect(missing(at)).toBe(true)
  expect(missing(noon)).toBe(false)
})
