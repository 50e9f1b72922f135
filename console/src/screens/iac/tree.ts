// The files of a project as a tree of folders, each with the findings of all that is in it.
import type { Schemas } from '../../api/client'
import { severities, type SeverityWord } from '../../parts/Severity'

export type FileRow = Schemas['ProjectFile']
export type Counts = Record<SeverityWord, number>
export type Node = { path: string; name: string; file?: FileRow; children: Node[]; counts: Counts }
export type Line = { node: Node; depth: number; open: boolean }

const none = (): Counts => ({ critical: 0, high: 0, medium: 0, low: 0, info: 0 })

export function total(counts: Counts): number {
  return severities.reduce((sum, s) => sum + counts[s], 0)
}

// worst leaves of counts the two worst severities that there are: a tree has no room for all.
export function worst(counts: Counts): Record<string, number> {
  return Object.fromEntries(
    severities
      .filter((s) => counts[s] > 0)
      .slice(0, 2)
      .map((s) => [s, counts[s]]),
  )
}

// treeOf makes the tree: folders first, then by name. Folders that hold nothing but one folder are one line.
export function treeOf(files: FileRow[]): Node[] {
  const root: Node = { path: '', name: '', children: [], counts: none() }
  const folders = new Map<string, Node>([['', root]])
  const folder = (path: string): Node => {
    const known = folders.get(path)
    if (known) return known
    const at = path.lastIndexOf('/')
    const node: Node = { path, name: path.slice(at + 1), children: [], counts: none() }
    folders.set(path, node)
    folder(at < 0 ? '' : path.slice(0, at)).children.push(node)
    return node
  }
  for (const file of files) {
    const at = file.path.lastIndexOf('/')
    folder(at < 0 ? '' : file.path.slice(0, at)).children.push({ path: file.path, name: file.path.slice(at + 1), file, children: [], counts: { ...none(), ...file.findings } })
  }
  for (const child of root.children) settle(child)
  sort(root.children)
  return root.children
}

function settle(node: Node) {
  for (const child of node.children) settle(child)
  if (node.file) return
  for (const child of node.children) for (const s of severities) node.counts[s] += child.counts[s]
  const only = node.children[0]
  if (node.children.length === 1 && only && !only.file) {
    node.name = `${node.name}/${only.name}`
    node.path = only.path
    node.children = only.children
  }
  sort(node.children)
}

function sort(list: Node[]) {
  list.sort((a, b) => (a.file ? 1 : 0) - (b.file ? 1 : 0) || (a.name < b.name ? -1 : 1))
}

// linesOf are the rows that are seen: folders that are closed hide what is in them.
export function linesOf(nodes: Node[], closed: ReadonlySet<string>, risky: boolean): Line[] {
  const out: Line[] = []
  const add = (list: Node[], depth: number) => {
    for (const node of list) {
      if (risky && total(node.counts) === 0) continue
      const open = !node.file && !closed.has(node.path)
      out.push({ node, depth, open })
      if (open) add(node.children, depth + 1)
    }
  }
  add(nodes, 0)
  return out
}

// firstRisky is the file to begin with: the one with the worst findings.
export function firstRisky(files: FileRow[]): FileRow | undefined {
  let best = files[0]
  for (const file of files) if (best && worse(file, best)) best = file
  return best
}

function worse(a: FileRow, b: FileRow): boolean {
  for (const s of severities) if (a.findings[s] !== b.findings[s]) return a.findings[s] > b.findings[s]
  return false
}

// around gives the risky files before and after one, in the order of the tree; at the ends it begins anew.
export function around(lines: FileRow[], path: string, step: 1 | -1): FileRow | undefined {
  const risky = lines.filter((f) => total(f.findings as Counts) > 0)
  if (risky.length === 0) return undefined
  const at = risky.findIndex((f) => f.path === path)
  if (at < 0) return risky[0]
  return risky[(at + step + risky.length) % risky.length]
}

// filesIn lists the files of a tree in its order.
export function filesIn(nodes: Node[]): FileRow[] {
  return nodes.flatMap((n) => (n.file ? [n.file] : filesIn(n.children)))
}
