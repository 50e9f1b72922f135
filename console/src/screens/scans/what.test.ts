import { describe, expect, it } from 'vitest'

import type { Schemas } from '../../api/client'
import { bodyOf, complete, consentOf, everything, parts, whatOf } from './what'

describe('what to scan', () => {
  it('is the body of the API', () => {
    expect(bodyOf(everything)).toEqual({ allClusters: true })
    expect(bodyOf({ all: false, clusters: ['3', '4'], parts: ['permissions', 'configuration'], budget: { requestRate: 5, parallelImages: 0 } })).toEqual({
      clusterIds: ['3', '4'],
      items: ['configuration', 'permissions'],
      budget: { requestRate: 5 },
    })
  })
  it('needs a cluster and an item', () => {
    expect(complete(everything)).toBe(true)
    expect(complete({ ...everything, all: false })).toBe(false)
    expect(complete({ ...everything, all: false, clusters: ['1'] })).toBe(true)
    expect(complete({ ...everything, parts: [] })).toBe(false)
  })
  it('comes back from a schedule', () => {
    const schedule = { allClusters: false, clusters: [{ id: '7', name: 'a', kind: 'cluster' }], items: ['images'], budget: { imagesPerHour: 10 } } as unknown as Schemas['Schedule']
    expect(whatOf(schedule)).toEqual({ all: false, clusters: ['7'], parts: ['images'], budget: { imagesPerHour: 10 } })
    expect(whatOf({ ...schedule, items: [...parts] }).parts).toEqual([...parts])
  })
})

describe('the consent', () => {
  const cluster = { name: 'shop', kind: 'kubeconfig', state: 'connected', creates: [], missing: [], present: [], checkedAt: '2026-01-01T00:00:00Z' } as unknown as Schemas['ClusterPlan']
  const plan = { clusters: [cluster], more: 3 } as unknown as Schemas['TaskPlan']
  it('lists nothing when nothing is created', () => {
    expect(consentOf(plan)).toEqual({ clusters: 4, creates: [], unread: 0, missing: 0, waits: 0, neverChecked: 0 })
  })
  it('lists what is created, and what will be missing', () => {
    const other = { ...cluster, state: 'refused', checkedAt: undefined, taskId: '9', missing: [{}], creates: [{ kind: 'Job', name: 'x', why: 'y' }] } as unknown as Schemas['ClusterPlan']
    expect(consentOf({ ...plan, clusters: [cluster, other] })).toEqual({
      clusters: 5,
      creates: [{ cluster: 'shop', kind: 'Job', name: 'x', why: 'y' }],
      unread: 1,
      missing: 1,
      waits: 1,
      neverChecked: 1,
    })
  })
})

it('single nodes are scanned instead of clusters', () => {
  const what = { ...everything, nodes: [] }
  expect(complete(what)).toBe(false) // no node is not every cluster
  const nodes = [{ clusterId: '3', name: 'worker-1' }]
  expect(complete({ ...what, nodes })).toBe(true)
  expect(bodyOf({ ...what, nodes, clusters: ['1'] })).toEqual({ nodes })
})
