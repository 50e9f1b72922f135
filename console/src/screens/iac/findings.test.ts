import { describe, expect, it } from 'vitest'

import { byLine, chosen, isActive, step, valueText, type FileFinding } from './findings'

const list = [
  { id: '1', line: 0, status: 'open' },
  { id: '2', line: 4, status: 'ignored' },
  { id: '3', line: 4, status: 'reopened' },
] as FileFinding[]

describe('the findings of a file', () => {
  it('are found by id or line', () => {
    expect(chosen(list, '3', '4')?.id).toBe('3')
    expect(chosen(list, undefined, '4')?.id).toBe('2')
    expect(chosen(list, '9', undefined)).toBeUndefined()
  })
  it('follow each other', () => {
    expect(step(list, undefined, 1)?.id).toBe('1')
    expect(step(list, undefined, -1)?.id).toBe('3')
    expect(step(list, list[0], 1)?.id).toBe('2')
    expect(step(list, list[2], 1)).toBeUndefined()
    expect(step(list, list[0], -1)).toBeUndefined()
    expect(step([], undefined, 1)).toBeUndefined()
  })
  it('are gathered by line', () => {
    expect([...byLine(list)].map(([line, at]) => [line, at.map((f) => f.id)])).toEqual([[4, ['2', '3']]])
  })
  it('count while they are active', () => {
    expect(list.map(isActive)).toEqual([true, false, true])
  })
  it('have values of all kinds', () => {
    expect([valueText('a'), valueText(true), valueText([1]), valueText(null), valueText(undefined)]).toEqual(['a', 'true', '[1]', '', ''])
  })
})
