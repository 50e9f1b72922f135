import { describe, expect, it } from 'vitest'

import { itemShare, left, retryable, taskShare, took, whole, type Task } from './progress'

const totals: Task['progress'] = { items: 4, done: 0, partial: 0, failed: 0, canceled: 0, objects: 0, images: 0, imagesTotal: 0, imagesFailed: 0, findings: 0, remainingMs: 0, added: 0, closed: 0 }
const progress = { phase: 'images', objects: 10, images: 5, imagesTotal: 10, findings: 0 } as const

describe('progress', () => {
  it('grows from nothing to the whole', () => {
    expect(itemShare({ status: 'ready' })).toBe(0)
    const steps = [
      itemShare({ status: 'running' }),
      itemShare({ status: 'running', progress: { ...progress, phase: 'connecting', objects: 0, imagesTotal: 0 } }),
      itemShare({ status: 'running', progress: { ...progress, phase: 'objects', imagesTotal: 0 } }),
      itemShare({ status: 'running', progress }),
      itemShare({ status: 'running', progress: { ...progress, images: 10 } }),
      itemShare({ status: 'running', progress: { ...progress, phase: 'saving' } }),
      itemShare({ status: 'failed' }),
    ]
    expect([...steps].sort((a, b) => a - b)).toEqual(steps)
    expect(steps.at(-1)).toBe(1)
  })
  it('of a task counts what is done and what runs', () => {
    expect(taskShare({ status: 'ready', progress: totals })).toBe(0)
    expect(taskShare({ status: 'running', progress: { ...totals, done: 2 } })).toBe(0.5)
    expect(taskShare({ status: 'running', progress: { ...totals, done: 2, objects: 5, images: 1, imagesTotal: 1 } })).toBeGreaterThan(0.7)
    expect(taskShare({ status: 'running', progress: { ...totals, done: 4 } })).toBeLessThan(1)
    expect(taskShare({ status: 'canceled', progress: totals })).toBe(1)
  })
  it('tells the time that is left in minutes, and when it does not know', () => {
    expect(left(0)).toEqual({ key: 'leftUnknown' })
    expect(left(undefined)).toEqual({ key: 'leftUnknown' })
    expect(left(40_000)).toEqual({ key: 'leftLittle' })
    expect(left(150_000)).toEqual({ key: 'left', count: 3 })
  })
  it('measures how long something took', () => {
    expect(took({}, 5)).toBeUndefined()
    expect(took({ startedAt: '2026-01-01T00:00:00Z', finishedAt: '2026-01-01T00:00:05Z' }, 0)).toBe(5000)
    expect(took({ startedAt: '2026-01-01T00:00:00Z' }, Date.parse('2026-01-01T00:00:02Z'))).toBe(2000)
  })
  it('knows what can be tried again', () => {
    const task = { status: 'partial', progress: { ...totals, done: 4, partial: 1, failed: 1 } } as Task
    expect(whole(task.progress)).toBe(2)
    expect(retryable(task)).toBe(true)
    expect(retryable({ ...task, status: 'running' })).toBe(false)
    expect(retryable({ ...task, progress: { ...totals, done: 4 } })).toBe(false)
  })
})
