import { describe, expect, it } from 'vitest'

import { around, filesIn, firstRisky, linesOf, total, treeOf, worst, type FileRow } from './tree'

function file(path: string, critical = 0, high = 0): FileRow {
  return { path, type: 'k8s_yaml', size: 1, findings: { critical, high, medium: 0, low: 0, info: 0 } }
}

const files = [file('Dockerfile', 0, 1), file('a/b/c/x.yaml', 2), file('a/b/c/y.yaml'), file('a/b/d.yaml', 0, 3), file('deep/only/z.yaml')]

describe('the tree of files', () => {
  it('has folders first, with the findings of all that is in them', () => {
    const tree = treeOf(files)
    expect(tree.map((n) => n.name)).toEqual(['a/b', 'deep/only', 'Dockerfile'])
    expect(tree[0]!.counts).toMatchObject({ critical: 2, high: 3 })
    expect(total(tree[0]!.counts)).toBe(5)
    expect(tree[0]!.children.map((n) => n.name)).toEqual(['c', 'd.yaml'])
    expect(filesIn(tree).map((f) => f.path)).toEqual(['a/b/c/x.yaml', 'a/b/c/y.yaml', 'a/b/d.yaml', 'deep/only/z.yaml', 'Dockerfile'])
  })
  it('shows what is open', () => {
    const tree = treeOf(files)
    const names = (closed: string[], risky = false) => linesOf(tree, new Set(closed), risky).map((l) => `${' '.repeat(l.depth)}${l.node.name}`)
    expect(names([])).toEqual(['a/b', ' c', '  x.yaml', '  y.yaml', ' d.yaml', 'deep/only', ' z.yaml', 'Dockerfile'])
    expect(names(['a/b', 'deep/only'])).toEqual(['a/b', 'deep/only', 'Dockerfile'])
    expect(names(['a/b/c'], true)).toEqual(['a/b', ' c', ' d.yaml', 'Dockerfile'])
  })
  it('has room for the worst two severities', () => {
    expect(worst({ critical: 0, high: 2, medium: 0, low: 4, info: 9 })).toEqual({ high: 2, low: 4 })
    expect(worst({ critical: 0, high: 0, medium: 0, low: 0, info: 0 })).toEqual({})
  })
  it('begins with the worst file', () => {
    expect(firstRisky(files)?.path).toBe('a/b/c/x.yaml')
    expect(firstRisky([])).toBeUndefined()
  })
  it('goes from risky file to risky file', () => {
    const order = filesIn(treeOf(files))
    expect(around(order, 'a/b/c/x.yaml', 1)?.path).toBe('a/b/d.yaml')
    expect(around(order, 'a/b/c/x.yaml', -1)?.path).toBe('Dockerfile')
    expect(around(order, 'deep/only/z.yaml', 1)?.path).toBe('a/b/c/x.yaml')
    expect(around([file('q')], 'q', 1)).toBeUndefined()
  })
})
