import { expect, test } from 'vitest'

import { place } from './layout'
import { closed, ended, findingOf, imageOf, nameOf, objectOf, opened, part, stepsOf, through, type Body, type Cut, type Edge, type Node, type Path } from './model'

const node = (id: string, kind: Node['kind'], more: Partial<Node> = {}): Node => ({ id, kind, label: id, targetId: '1', target: 'shop', ...more })
const edge = (id: string, from: string, to: string, kind: Edge['kind'] = 'right'): Edge => ({ id, from, to, kind, title: id, proof: [] })
const path = (id: string, steps: string[]): Path => ({ id, targetId: '1', score: 50, severity: 'high', title: id, reasons: [], steps })

const body: Body = {
  graphs: [],
  nodes: [node('out', 'internet'), node('door', 'exposure'), node('web', 'workload'), node('in', 'foothold'), node('till', 'workload'), node('goal', 'admin', { goal: true })],
  edges: [edge('a', 'out', 'door', 'expose'), edge('b', 'door', 'web', 'route'), edge('c', 'web', 'in', 'exploit'), edge('d', 'in', 'goal'), edge('e', 'door', 'till', 'route')],
  paths: [path('p', ['a', 'b', 'c', 'd']), path('q', ['a', 'e'])],
  total: 2,
  cuts: [],
  truncated: false,
  gaps: [],
}

test('a node keeps the paths that lead through it', () => {
  expect(through(body, undefined).map((p) => p.id)).toEqual(['p', 'q'])
  expect(through(body, 'door').map((p) => p.id)).toEqual(['p', 'q'])
  expect(through(body, 'web').map((p) => p.id)).toEqual(['p'])
  expect(through(body, 'goal').map((p) => p.id)).toEqual(['p'])
  expect(through(body, 'nobody')).toEqual([])
})

test('the graph of some paths has their steps alone', () => {
  const q = part(body, [body.paths[1]!])
  expect(q.edges.map((e) => e.id)).toEqual(['a', 'e'])
  expect(q.nodes.map((n) => n.id)).toEqual(['out', 'door', 'till'])
})

test('the worst path is open, unless the URL names another or none', () => {
  expect(opened(body.paths, undefined)?.id).toBe('p')
  expect(opened(body.paths, 'q')?.id).toBe('q')
  expect(opened(body.paths, 'gone since')?.id).toBe('p')
  expect(opened(body.paths, closed)).toBeUndefined()
  expect(opened([], undefined)).toBeUndefined()
})

test('steps come in the order of the path, with where they lead', () => {
  expect(stepsOf(body, body.paths[0]!).map((s) => `${s.edge.id}>${s.to?.id}`)).toEqual(['a>door', 'b>web', 'c>in', 'd>goal'])
  expect(stepsOf(body, path('x', ['a', 'unknown']))).toHaveLength(1)
})

test('proof links to what is known', () => {
  expect(findingOf({ findingId: '7' })).toEqual({ to: '/findings/7' })
  expect(findingOf({ findingId: '0' })).toBeUndefined()
  expect(findingOf({})).toBeUndefined()
  expect(objectOf({ assetId: '9' })).toEqual({ to: '/assets/workloads/9' })
  expect(imageOf({ image: 'web:1', digest: 'sha256:ab' })).toEqual({ to: '/images/sha256%3Aab' })
  expect(imageOf({ image: 'web:1' })).toEqual({ to: '/images', search: { q: 'web:1' } })
  expect(imageOf({})).toBeUndefined()
  expect(nameOf({ kind: 'Deployment', namespace: 'shop', name: 'web' })).toBe('Deployment shop/web')
  expect(nameOf({ kind: 'Node', name: 'cp-1' })).toBe('Node cp-1')
})

test('a cut tells the paths that it ends', () => {
  expect([...ended({ paths: ['p'] } as Cut)]).toEqual(['p'])
  expect(ended(undefined).size).toBe(0)
})

test('the graph goes down from the outside to the goal, and nodes do not cover each other', () => {
  const placed = place(body.nodes, body.edges, new Set(body.paths[0]!.steps))
  const at = new Map(placed.map((p) => [p.node.id, p]))
  for (const e of body.edges) expect(at.get(e.from)!.y).toBeLessThan(at.get(e.to)!.y)
  for (const p of placed) for (const q of placed) if (p !== q) expect(Math.abs(p.x - q.x) >= 184 || Math.abs(p.y - q.y) >= 56).toBe(true)
  const column = ['out', 'door', 'web', 'in', 'goal'].map((id) => at.get(id)!.x)
  expect(new Set(column).size).toBe(1)
})
