// Files that somebody drops or chooses, folders and all, as the server takes them: names with slashes, bounded.

export type Picked = { name: string; file: File }
export type Left = { name: string; reason: 'large' | 'excluded' | 'unreadable' | 'name' | 'many' }
export type Gathered = { files: Picked[]; left: Left[]; folder?: string; archive?: Picked }

// Bounds of the server, so that people hear of them before they send.
export const maxFiles = 10_000
export const maxFile = 10 * 2 ** 20
export const maxAll = 256 * 2 ** 20

const excluded = new Set(['.git', 'node_modules', '.terraform', '.idea', '.vscode'])
const archives = /\.(zip|tar|tar\.gz|tgz|tar\.zst)$/i

// fromDrop reads what was dropped. The list of items is only good during the event, so entries are taken from it at once.
export async function fromDrop(data: DataTransfer): Promise<Gathered> {
  const entries = [...data.items].map((item) => item.webkitGetAsEntry?.()).filter((e) => e !== null && e !== undefined)
  if (entries.length === 0) return gathered([...data.files].map((file) => ({ name: file.name, file })), [])
  const files: Picked[] = []
  const left: Left[] = []
  for (const entry of entries) await walk(entry, '', files, left)
  return gathered(files, left)
}

// fromInput reads what was chosen with a file field; with webkitdirectory its files have paths.
export function fromInput(list: ArrayLike<File>): Gathered {
  const files: Picked[] = []
  const left: Left[] = []
  for (const file of Array.from(list)) {
    const name = file.webkitRelativePath || file.name
    const out = name.split('/').find((part) => excluded.has(part))
    if (out === undefined) files.push({ name, file })
    else if (!left.some((l) => l.name === out)) left.push({ name: out, reason: 'excluded' })
  }
  return gathered(files, left)
}

async function walk(entry: FileSystemEntry, above: string, files: Picked[], left: Left[]): Promise<void> {
  const name = above + entry.name
  if (files.length > maxFiles) return
  if (entry.isFile) {
    const file = await new Promise<File | null>((done) => (entry as FileSystemFileEntry).file(done, () => done(null)))
    if (file) files.push({ name, file })
    else left.push({ name, reason: 'unreadable' })
    return
  }
  if (excluded.has(entry.name)) {
    left.push({ name, reason: 'excluded' })
    return
  }
  const reader = (entry as FileSystemDirectoryEntry).createReader()
  for (;;) {
    // A folder is told in pieces, until an empty one.
    const piece = await new Promise<FileSystemEntry[] | null>((done) => reader.readEntries(done, () => done(null)))
    if (piece === null) {
      left.push({ name, reason: 'unreadable' })
      return
    }
    if (piece.length === 0) return
    for (const inner of piece) await walk(inner, name + '/', files, left)
  }
}

// gathered sorts out what cannot be sent, and takes the name of the one folder off that holds everything.
function gathered(all: Picked[], left: Left[]): Gathered {
  const archive = all.length === 1 && all[0] && archives.test(all[0].name) ? all[0] : undefined
  if (archive) {
    if (archive.file.size > maxAll) return { files: [], left: [...left, { name: archive.name, reason: 'large' }] }
    return { files: [], left, archive, folder: archive.name.replace(archives, '') }
  }
  const first = all[0]?.name.split('/')
  const folder = first && first.length > 1 && all.every((f) => f.name.startsWith(first[0] + '/')) ? first[0] : undefined
  const files: Picked[] = []
  let sum = 0
  for (const { name, file } of all) {
    const short = folder ? name.slice(folder.length + 1) : name
    if (!sendable(short)) left.push({ name: short, reason: 'name' })
    else if (file.size > maxFile) left.push({ name: short, reason: 'large' })
    else if (files.length >= maxFiles || sum + file.size > maxAll) left.push({ name: short, reason: 'many' })
    else {
      sum += file.size
      files.push({ name: short, file })
    }
  }
  files.sort((a, b) => (a.name < b.name ? -1 : 1))
  return { files, left, folder }
}

// sendable is what the server refuses a whole upload for.
function sendable(name: string): boolean {
  return name.length > 0 && name.length <= 1024 && !/[\u0000-\u001f\u007f\\]/.test(name) && !/^([A-Za-z]:|\/)/.test(name) && !name.split('/').includes('..')
}

export function sizeOf(g: Gathered): number {
  return g.archive ? g.archive.file.size : g.files.reduce((sum, f) => sum + f.file.size, 0)
}

export function isEmpty(g: Gathered): boolean {
  return !g.archive && g.files.length === 0
}

// formOf is the body of the upload.
export function formOf(g: Gathered): FormData {
  const form = new FormData()
  if (g.archive) form.append('archive', g.archive.file, g.archive.name)
  for (const { name, file } of g.files) form.append('file', file, name)
  return form
}

export const validName = /^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/

// projectOf makes the name of a project of that of a folder or an archive.
export function projectOf(folder: string | undefined): string {
  return (folder ?? '')
    .replace(/[^A-Za-z0-9._-]+/g, '-')
    .replace(/^[^A-Za-z0-9]+/, '')
    .slice(0, 100)
}
