import { describe, expect, it } from 'vitest'

import { formOf, fromDrop, fromInput, isEmpty, maxFile, projectOf, sizeOf, validName } from './dropped'

type Tree = { [name: string]: Tree | number | null }

// entry makes what a browser gives for a dropped file or folder; a number is the size of a file, null one that cannot be read.
function entry(name: string, tree: Tree | number | null): FileSystemEntry {
  if (tree === null) return { name, isFile: true, isDirectory: false, file: (_: unknown, fail: (e: Error) => void) => fail(new Error('no')) } as unknown as FileSystemEntry
  if (typeof tree === 'number') return { name, isFile: true, isDirectory: false, file: (ok: (f: File) => void) => ok(sized(name, tree)) } as unknown as FileSystemEntry
  const inner = Object.entries(tree).map(([n, t]) => entry(n, t))
  return {
    name,
    isFile: false,
    isDirectory: true,
    createReader: () => {
      const pieces = [inner.slice(0, 1), inner.slice(1), []].filter((p, i) => p.length > 0 || i === 2)
      return { readEntries: (ok: (e: FileSystemEntry[]) => void) => ok(pieces.shift() ?? []) }
    },
  } as unknown as FileSystemEntry
}

function sized(name: string, size: number): File {
  const file = new File(['x'], name)
  Object.defineProperty(file, 'size', { value: size })
  return file
}

function drop(tree: Tree): DataTransfer {
  return { items: Object.entries(tree).map(([n, t]) => ({ webkitGetAsEntry: () => entry(n, t) })), files: [] } as unknown as DataTransfer
}

describe('what is dropped', () => {
  it('has the paths of its folders, without the one that holds everything', async () => {
    const g = await fromDrop(drop({ shop: { deploy: { 'b.yaml': 1, 'a.yaml': 2 }, Dockerfile: 3 } }))
    expect(g.folder).toBe('shop')
    expect(g.files.map((f) => f.name)).toEqual(['Dockerfile', 'deploy/a.yaml', 'deploy/b.yaml'])
    expect(sizeOf(g)).toBe(6)
  })
  it('keeps several folders apart', async () => {
    const g = await fromDrop(drop({ a: { 'x.yaml': 1 }, b: { 'x.yaml': 1 } }))
    expect(g.folder).toBeUndefined()
    expect(g.files.map((f) => f.name)).toEqual(['a/x.yaml', 'b/x.yaml'])
  })
  it('tells what is left out', async () => {
    const g = await fromDrop(drop({ r: { '.git': { config: 1 }, node_modules: { x: 1 }, 'big.yaml': maxFile + 1, 'gone.yaml': null, 'a\\b.yaml': 1, 'ok.yaml': 1 } }))
    expect(g.files.map((f) => f.name)).toEqual(['ok.yaml'])
    expect(g.left.map((l) => `${l.name} ${l.reason}`).sort()).toEqual(['a\\b.yaml name', 'big.yaml large', 'r/.git excluded', 'r/gone.yaml unreadable', 'r/node_modules excluded'])
  })
  it('takes one archive as it is', async () => {
    const g = await fromDrop(drop({ 'shop-1.2.tar.gz': 5 }))
    expect(g.archive?.name).toBe('shop-1.2.tar.gz')
    expect(g.folder).toBe('shop-1.2')
    expect(isEmpty(g)).toBe(false)
    expect([...formOf(g).keys()]).toEqual(['archive'])
  })
  it('works where a browser gives only files', async () => {
    const g = await fromDrop({ items: [], files: [sized('a.yaml', 1)] } as unknown as DataTransfer)
    expect(g.files.map((f) => f.name)).toEqual(['a.yaml'])
    expect([...formOf(g).keys()]).toEqual(['file'])
  })
})

describe('what is chosen', () => {
  it('has the paths that the field gives', () => {
    const file = sized('a.yaml', 1)
    Object.defineProperty(file, 'webkitRelativePath', { value: 'shop/deploy/a.yaml' })
    const git = sized('config', 1)
    Object.defineProperty(git, 'webkitRelativePath', { value: 'shop/.git/config' })
    const g = fromInput([file, git, git])
    expect(g.files.map((f) => f.name)).toEqual(['deploy/a.yaml'])
    expect(g.left).toEqual([{ name: '.git', reason: 'excluded' }])
    expect(isEmpty(fromInput([]))).toBe(true)
  })
})

describe('the name of a project', () => {
  it('comes from the folder', () => {
    expect(projectOf('shop')).toBe('shop')
    expect(projectOf('.my shop/支付 v2')).toBe('my-shop-v2')
    expect(projectOf(undefined)).toBe('')
    expect(validName.test('shop-1.2_x')).toBe(true)
    expect(validName.test('.shop')).toBe(false)
    expect(validName.test('a b')).toBe(false)
    expect(validName.test('x'.repeat(101))).toBe(false)
  })
})
