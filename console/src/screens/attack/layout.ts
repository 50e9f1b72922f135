// Where the nodes of a graph stand: dagre, from the outside at the top to the goals at the bottom. A path of seven steps then has
// room in the window at a size that can be read.
import dagre from '@dagrejs/dagre'

import type { Edge, Node } from './model'

export const size = { width: 184, height: 56 }

export type Placed = { node: Node; x: number; y: number }

// place gives each node its corner; straight are the edges that should not wander.
export function place(nodes: Node[], edges: Edge[], straight: Set<string>): Placed[] {
  const g = new dagre.graphlib.Graph()
  g.setGraph({ rankdir: 'TB', nodesep: 16, ranksep: 38, marginx: 8, marginy: 8 })
  g.setDefaultEdgeLabel(() => ({}))
  for (const n of nodes) g.setNode(n.id, { ...size })
  for (const e of edges) g.setEdge(e.from, e.to, { weight: straight.has(e.id) ? 50 : 1 })
  dagre.layout(g)
  return nodes.map((node) => {
    const at = g.node(node.id)
    return { node, x: at.x - size.width / 2, y: at.y - size.height / 2 }
  })
}
