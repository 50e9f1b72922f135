// Where the nodes of a graph stand: dagre, from the outside at the top to the goals at the bottom. A path of seven steps then has
// room in the window at a size that can be read.
import dagre from '@dagrejs/dagre'

import type { Edge, Node } from './model'

export const size = { width: 184, height: 56 }
const gap = 16

export type Placed = { node: Node; x: number; y: number }

// place gives each node its corner. The nodes of the chosen path (straight: its edges) stand below each other at the left edge, so
// that the whole of it can be read; the others beside them.
export function place(nodes: Node[], edges: Edge[], straight: Set<string>): Placed[] {
  const g = new dagre.graphlib.Graph()
  g.setGraph({ rankdir: 'TB', nodesep: gap, ranksep: 38, marginx: 8, marginy: 8 })
  g.setDefaultEdgeLabel(() => ({}))
  for (const n of nodes) g.setNode(n.id, { ...size })
  for (const e of edges) g.setEdge(e.from, e.to)
  dagre.layout(g)
  const placed = nodes.map((node) => {
    const at = g.node(node.id)
    return { node, x: at.x - size.width / 2, y: at.y - size.height / 2 }
  })
  const chosen = new Set(edges.filter((e) => straight.has(e.id)).flatMap((e) => [e.from, e.to]))
  if (chosen.size === 0) return placed
  const rows = new Map<number, Placed[]>()
  for (const p of placed) rows.set(p.y, [...(rows.get(p.y) ?? []), p])
  for (const row of rows.values()) {
    row.sort((a, b) => Number(chosen.has(b.node.id)) - Number(chosen.has(a.node.id)) || a.x - b.x)
    const first = chosen.has(row[0]!.node.id) ? 0 : 1
    row.forEach((p, i) => {
      p.x = (first + i) * (size.width + gap)
    })
  }
  return placed
}
