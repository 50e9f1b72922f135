// What an event of the history is called: people's actions by what they did, scans by what they saw.
type Event = { action: string; before: string; after: string; cause?: string }

const people = ['ignore', 'unignore', 'mark-fixed', 'accept', 'unaccept', 'assign', 'comment', 'verify'] as const
const causes = ['object-changed', 'image-changed', 'rule-changed', 'database-changed', 'object-gone', 'not-looked-at', 'exception', 'exception-ended'] as const

export type What = (typeof people)[number] | 'seen' | 'changed'
export type Cause = (typeof causes)[number]

export function wordsOf(e: Event): { what: What; cause?: Cause } {
  const cause = causes.find((c) => c === e.cause)
  const what = people.find((a) => a === e.action) ?? (e.before === e.after ? 'changed' : 'seen')
  return cause ? { what, cause } : { what }
}
