// Texts: the same keys in both languages, nothing left in English, nothing that no component uses.
import { expect, test } from 'vitest'

type Tree = { [key: string]: string | Tree }

const files = import.meta.glob<Tree>(['./{en,zh}.json', '../app/**/{en,zh}.json', '../parts/{en,zh}.json', '../screens/*/{en,zh}.json'], { eager: true, import: 'default' })
const sources = Object.values(import.meta.glob<string>('../**/*.{ts,tsx}', { eager: true, query: '?raw', import: 'default' })).join('\n')

function flat(tree: Tree, before = ''): Map<string, string> {
  const out = new Map<string, string>()
  for (const [key, value] of Object.entries(tree)) {
    if (typeof value === 'string') out.set(before + key, value)
    else for (const [k, v] of flat(value, `${before}${key}.`)) out.set(k, v)
  }
  return out
}

const plural = (key: string) => key.replace(/_(zero|one|two|few|many|other)$/, '')
const placeholders = (text: string) => [...new Set(text.match(/\{\{[^}]+\}\}/g) ?? [])].sort()
const folders = Object.keys(files)
  .filter((f) => f.endsWith('/en.json'))
  .map((f) => f.replace(/en\.json$/, ''))

test('every folder has both languages', () => {
  expect(folders.length).toBeGreaterThan(10)
  for (const folder of folders) expect(Object.keys(files)).toContain(folder + 'zh.json')
})

test.each(folders)('%s has the same keys and values in both languages', (folder) => {
  const en = flat(files[folder + 'en.json']!)
  const zh = flat(files[folder + 'zh.json']!)
  expect([...new Set([...zh.keys()].map(plural))].sort()).toEqual([...new Set([...en.keys()].map(plural))].sort())
  for (const [key, text] of zh) {
    expect(text.trim(), `${folder}zh.json ${key} is empty`).not.toBe('')
    const english = en.get(key) ?? en.get(plural(key) + '_other')
    const count = (list: string[]) => list.filter((p) => p !== '{{count}}')
    expect(count(placeholders(text)), `${folder}zh.json ${key}`).toEqual(count(placeholders(english ?? '')))
    // Names, units and commands are the same in all languages; a sentence is not.
    if (/[a-z]{2,} [a-z]{2,} [a-z]{2,}/.test(text) && !/[\u4e00-\u9fff]/.test(text)) expect.fail(`${folder}zh.json ${key} is not translated: ${text}`)
  }
})

test.each(folders)('%s has no text that nothing uses', { timeout: 60_000 }, (folder) => {
  const unused = [...flat(files[folder + 'en.json']!).keys()].map(plural).filter((key) => {
    const parts = key.split('.')
    // Keys may be put together of parts: `severity.${word}`.
    return ![key, ...parts.slice(1).map((_, i) => parts.slice(0, i + 1).join('.') + '.${')].some((k) => sources.includes(k))
  })
  expect([...new Set(unused)]).toEqual([])
})
