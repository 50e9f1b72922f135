// How far a task is, from what the server tells of it.
import type { Schemas } from '../../api/client'

export type Task = Schemas['Task']
export type Item = Schemas['Item']
export type Progress = Schemas['Progress']
export type Status = Item['status'] | Task['status']

export function going(status: Status): boolean {
  return status === 'ready' || status === 'running'
}

// part is the share of a scan that is done while it runs: reading objects first, then images one by one, then saving.
function part(objects: number, images: number, imagesTotal: number, phase?: Progress['phase']): number {
  if (phase === 'saving') return 0.97
  if (imagesTotal > 0) return 0.3 + (0.65 * Math.min(images, imagesTotal)) / imagesTotal
  return objects > 0 ? 0.2 : 0.02
}

// itemShare is how much of one cluster or upload is done, from 0 to 1.
export function itemShare(item: Pick<Item, 'status' | 'progress'>): number {
  if (item.status === 'ready') return 0
  if (!going(item.status)) return 1
  const p = item.progress
  return p ? part(p.objects, p.images, p.imagesTotal, p.phase) : 0.01
}

// taskShare is how much of a task is done, from 0 to 1. It never is 1 before the end.
export function taskShare(task: Pick<Task, 'status' | 'progress'>): number {
  const { items, done, objects, images, imagesTotal } = task.progress
  if (!going(task.status)) return 1
  if (items === 0 || task.status === 'ready') return 0
  const open = items - done
  return Math.min(0.99, (done + (open > 0 && (objects > 0 || imagesTotal > 0) ? part(objects, images, imagesTotal) : 0)) / items)
}

export type Left = { key: 'leftUnknown' | 'leftLittle' } | { key: 'left'; count: number }

// left says how long it still takes: in minutes, since nobody knows the seconds.
export function left(ms: number | undefined): Left {
  if (!ms || ms <= 0) return { key: 'leftUnknown' }
  if (ms < 60_000) return { key: 'leftLittle' }
  return { key: 'left', count: Math.round(ms / 60_000) }
}

// took is how long something took, or takes until now; undefined before it began.
export function took(x: { startedAt?: string; finishedAt?: string }, now: number): number | undefined {
  if (!x.startedAt) return undefined
  const end = x.finishedAt ? new Date(x.finishedAt).getTime() : now
  return Math.max(0, end - new Date(x.startedAt).getTime())
}

// whole counts the items that were scanned without anything missing.
export function whole(p: Task['progress']): number {
  return Math.max(0, p.done - p.partial - p.failed - p.canceled)
}

// retryable reports whether something of an ended task can be tried again.
export function retryable(task: Task): boolean {
  const { partial, failed, canceled } = task.progress
  return !going(task.status) && partial + failed + canceled > 0
}
