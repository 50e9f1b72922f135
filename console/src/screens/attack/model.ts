// What the screen works out of an answer: parts of the graph, links of proof, what a cut ends.
import type { Schemas } from '../../api/client'

export type Body = Schemas['AttackBody']
export type Node = Schemas['AttackNode']
export type Edge = Schemas['AttackEdge']
export type Path = Schemas['AttackPath']
export type Proof = Schemas['AttackProof']
export type Cut = Schemas['AttackCut']

export type Link = { to: string; search?: Record<string, string> }

// drawn bounds how many paths the graph shows at once; the list has all of them.
export const drawn = 12

// through keeps the paths that lead through a node.
export function through(body: Body, node: string | undefined): Path[] {
  if (!node) return body.paths
  const touching = new Set(body.edges.filter((e) => e.from === node || e.to === node).map((e) => e.id))
  return body.paths.filter((p) => p.steps.some((s) => touching.has(s)))
}

// closed stands in the URL when every path is closed; without a word in it the worst one is open.
export const closed = 'none'

export function opened(paths: Path[], word: string | undefined): Path | undefined {
  return word === closed ? undefined : (paths.find((p) => p.id === word) ?? paths[0])
}

// part is the graph of some paths.
export function part(body: Body, paths: Path[]): { nodes: Node[]; edges: Edge[] } {
  const steps = new Set(paths.flatMap((p) => p.steps))
  const edges = body.edges.filter((e) => steps.has(e.id))
  const ends = new Set(edges.flatMap((e) => [e.from, e.to]))
  return { nodes: body.nodes.filter((n) => ends.has(n.id)), edges }
}

// stepsOf gives the steps of a path in order, each with where it leads.
export function stepsOf(body: Body, path: Path): { edge: Edge; to: Node | undefined }[] {
  const edges = new Map(body.edges.map((e) => [e.id, e]))
  const nodes = new Map(body.nodes.map((n) => [n.id, n]))
  return path.steps.flatMap((id) => {
    const edge = edges.get(id)
    return edge ? [{ edge, to: nodes.get(edge.to) }] : []
  })
}

// findingOf links to the finding behind a proof.
export function findingOf(p: Proof): Link | undefined {
  return p.findingId && p.findingId !== '0' ? { to: `/findings/${encodeURIComponent(p.findingId)}` } : undefined
}

// objectOf links to the workload that a proof is about.
export function objectOf(p: Proof): Link | undefined {
  return p.assetId && p.assetId !== '0' ? { to: `/assets/workloads/${encodeURIComponent(p.assetId)}` } : undefined
}

export function imageOf(p: Proof): Link | undefined {
  if (!p.image) return undefined
  return p.digest ? { to: `/images/${encodeURIComponent(p.digest)}` } : { to: '/images', search: { q: p.image } }
}

// nameOf writes an object as people do: Deployment shop/web.
export function nameOf(o: { kind?: string; namespace?: string; name?: string }): string {
  const name = [o.namespace, o.name].filter(Boolean).join('/')
  return [o.kind, name].filter(Boolean).join(' ')
}

// ended are the paths of an answer that a cut ends, by itself.
export function ended(cut: Cut | undefined): Set<string> {
  return new Set(cut?.paths ?? [])
}
