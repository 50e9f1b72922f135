import { describe, expect, it } from 'vitest'

import { clock, cronOf, nightly, readClock, timesOf, zones } from './cron'

describe('the times of a schedule', () => {
  it('are written as cron', () => {
    expect(cronOf(nightly)).toBe('30 2 * * *')
    expect(cronOf({ ...nightly, mode: 'weekly', days: [5, 1] })).toBe('30 2 * * 1,5')
    expect(cronOf({ ...nightly, mode: 'weekly', days: [] })).toBe('')
    expect(cronOf({ ...nightly, mode: 'cron', cron: ' */5 * * * * ' })).toBe('*/5 * * * *')
  })
  it.each(['30 2 * * *', '0 0 * * *', '15 23 * * 1,3', '0 6 * * 1,2,3,4,5'])('%s goes into fields and back', (cron) => {
    const times = timesOf(cron)
    expect(times.mode).not.toBe('cron')
    expect(cronOf(times)).toBe(cron)
  })
  it.each(['*/5 * * * *', '0 2 1 * *', '0 2 * 1 *', '0 25 * * *', '60 2 * * *', '0 2 * * 5-1', '0 2 * * 8', '0 2 * * mon', '0 2 * *', '0 2 * * * *', 'x'])('%s stays as it is', (cron) => {
    const times = timesOf(cron)
    expect(times.mode).toBe('cron')
    expect(cronOf(times)).toBe(cron)
  })
  it('reads ranges, Sunday by both numbers, and names', () => {
    expect(timesOf('0 2 * * 1-5').days).toEqual([1, 2, 3, 4, 5])
    expect(timesOf('0 2 * * 7').days).toEqual([0])
    expect(timesOf('@daily')).toMatchObject({ mode: 'daily', hour: 0, minute: 0 })
    expect(timesOf('@weekly')).toMatchObject({ mode: 'weekly', days: [0] })
  })
  it('reads and writes the clock', () => {
    expect(clock(2, 5)).toBe('02:05')
    expect(readClock('02:05')).toEqual({ hour: 2, minute: 5 })
    expect(readClock('24:00')).toBeUndefined()
    expect(readClock('')).toBeUndefined()
  })
  it('offers time zones', () => {
    expect(zones()).toContain('Asia/Shanghai')
    expect(zones()).toContain('UTC')
  })
})
