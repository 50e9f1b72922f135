// Changes come as server-sent events: one stream a tab. Pages say which topics they follow and what to read again.
import { useQueryClient } from '@tanstack/react-query'
import { useEffect, useRef } from 'react'

const topics = ['task', 'cluster', 'protection', 'policies', 'admission', 'node', 'emergency', 'lost'] as const
export type Topic = (typeof topics)[number]
export type Change = { topic: Topic; targetId?: string; id?: string; body?: Record<string, unknown> }
type Listener = (change: Change) => void

const listeners = new Set<Listener>()
let source: EventSource | null = null
let retry = 0

function open() {
  source = new EventSource('/api/v1/events')
  const take = (topic: Topic) => (event: MessageEvent<string>) => {
    retry = 0
    let data: Omit<Change, 'topic'> = {}
    try {
      data = JSON.parse(event.data) as Omit<Change, 'topic'>
    } catch {
      // an event without a body still says that something changed
    }
    for (const listener of listeners) listener({ topic, ...data })
  }
  for (const topic of topics) source.addEventListener(topic, take(topic) as EventListener)
  // What changed before the stream was open was told to nobody: pages read again.
  source.onopen = () => {
    for (const listener of listeners) listener({ topic: 'lost' })
  }
  source.onerror = () => {
    // A browser gives up on an HTTP error, such as an ended session: try again, slower each time.
    if (source?.readyState !== EventSource.CLOSED) return
    source = null
    retry++
    setTimeout(() => listeners.size > 0 && !source && open(), Math.min(60_000, 1000 * 2 ** retry))
  }
}

function subscribe(listener: Listener) {
  listeners.add(listener)
  if (!source) open()
  return () => {
    listeners.delete(listener)
    if (listeners.size === 0) {
      source?.close()
      source = null
    }
  }
}

// useEvents calls back on each change of the topics.
export function useEvents(follow: Topic[], on: Listener) {
  const latest = useRef(on)
  useEffect(() => {
    latest.current = on
  })
  const wanted = follow.join()
  useEffect(() => subscribe((change) => (change.topic === 'lost' || wanted.includes(change.topic)) && latest.current(change)), [wanted])
}

// useLive reads the queries of these API paths again when something of the topics changes, at most every two seconds.
export function useLive(follow: Topic[], paths: string[]) {
  const client = useQueryClient()
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined)
  useEvents(follow, () => {
    timer.current ??= setTimeout(() => {
      timer.current = undefined
      void client.invalidateQueries({ predicate: (query) => paths.includes(String(query.queryKey[1])) })
    }, 2000)
  })
  useEffect(() => () => clearTimeout(timer.current), [])
}
