// What agents and the server say in English of what they could not look at: whole sentences of a fixed form with names in them. The
// English texts of this folder are those forms, so that another language can show them; what has no form is shown as it came.
import { useCallback } from 'react'
import { useTranslation } from 'react-i18next'

import texts from './en.json'
import { language } from '../../text/start'

type Key = keyof typeof texts.form
type Say = (key: Key, values: Record<string, string>) => string

// A place named n or m holds a number, any other one a name or another sentence.
const known = Object.entries(texts.form)
  .map(([key, form]) => {
    const names: string[] = []
    const source = form.split(/\{\{(\w+)\}\}/).map((part, i) => (i % 2 === 0 ? part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&') : (names.push(part), part === 'n' || part === 'm' ? '(\\d+)' : '(.+)')))
    return { key: key as Key, names, form: new RegExp(`^${source.join('')}$`), fixed: form.replace(/\{\{\w+\}\}/g, '').length }
  })
  .sort((a, b) => b.fixed - a.fixed) // what says most about a sentence is tried first

// longest bounds what is compared: nothing that is longer has a form.
const longest = 600

// translated says a sentence by its form; undefined when it has none.
function translated(text: string, say: Say, depth: number): string | undefined {
  if (text.length > longest || depth > 3) return undefined
  for (const { key, names, form } of known) {
    const found = form.exec(text)
    if (found) return say(key, Object.fromEntries(names.map((name, i) => [name, inWords(found[i + 1] ?? '', say, depth + 1)])))
  }
  const list = text.split(', ').map((part) => (part === text ? undefined : translated(part, say, depth + 1)))
  if (list.every((part) => part !== undefined)) return list.join('、')
  const at = text.indexOf(': ') // a name, and what is said of it
  if (at < 0) return undefined
  const [name, rest] = [translated(text.slice(0, at), say, depth + 1), translated(text.slice(at + 2), say, depth + 1)]
  return rest === undefined ? undefined : `${name ?? text.slice(0, at)}：${rest}`
}

// inWords is a sentence by its form, or as it came.
export function inWords(text: string, say: Say, depth = 0): string {
  return translated(text, say, depth) ?? text
}

// useSaid shows sentences of agents and the server in the user's language.
export function useSaid(): (text: string) => string {
  const { t } = useTranslation('said')
  return useCallback((text) => (language() === 'en' ? text : inWords(text, (key, values) => t(`form.${key}`, values as { a: string }))), [t])
}
