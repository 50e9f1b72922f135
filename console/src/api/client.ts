// The one way to the server: types of the OpenAPI document, queries of TanStack Query. Nothing else in the console fetches.
import { QueryClient } from '@tanstack/react-query'
import createFetchClient from 'openapi-fetch'
import createQueryClient from 'openapi-react-query'

import { renewal } from '../app/renewal'
import type { components, paths } from './schema'

export type Schemas = components['schemas']

// Failed is what a request that did not succeed throws: the server's problem document, or that the server was not reached.
export class Failed extends Error {
  constructor(
    readonly status: number, // 0: not reached
    readonly detail: string,
    readonly requestId: string,
    readonly fields: { location: string; message: string }[] = [],
  ) {
    super(detail)
  }
}

// language of texts that the server writes; text/start sets it.
let language = 'en'
export function speak(lang: string) {
  language = lang
}

async function send(request: Request): Promise<Response> {
  request.headers.set('Accept-Language', language)
  // A body can be read once; large ones are not kept for a second time.
  const again = /json/.test(request.headers.get('Content-Type') ?? '') || !request.body ? request.clone() : null
  let response = await reach(request)
  if (again && response.status === 401 && renewal.expected(request)) {
    await renewal.wait() // a dialog over the page asks for the password; nothing typed is lost
    response = await reach(again)
  }
  if (response.status === 401) throw await failure(response)
  return response
}

async function reach(request: Request): Promise<Response> {
  let response: Response
  try {
    response = await fetch(request)
  } catch (cause) {
    if (request.signal.aborted) throw cause
    throw new Failed(0, '', '')
  }
  if (response.ok || response.status === 304 || (response.status === 401 && renewal.expected(request))) return response
  throw await failure(response)
}

export async function failure(response: Response): Promise<Failed> {
  const id = response.headers.get('X-Request-Id') ?? ''
  try {
    const problem = (await response.json()) as Schemas['ErrorModel']
    const fields = (problem.errors ?? []).map((e) => ({ location: e.location ?? '', message: e.message ?? '' }))
    return new Failed(response.status, problem.detail ?? problem.title ?? '', id, fields)
  } catch {
    return new Failed(response.status, response.statusText, id)
  }
}

// querySerializer writes lists as the API takes them, in one parameter with commas, and leaves out what is empty.
export function querySerializer(query: Record<string, unknown>): string {
  const out = new URLSearchParams()
  for (const [name, value] of Object.entries(query)) {
    const text = Array.isArray(value) ? value.join(',') : value === undefined || value === null ? '' : String(value)
    if (text !== '') out.set(name, text)
  }
  return out.toString()
}

export const call = createFetchClient<paths>({
  baseUrl: location.origin,
  fetch: send,
  querySerializer,
})
export const api = createQueryClient(call)

export const queries = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: 10_000,
      refetchOnWindowFocus: false, // changes come as events
      retry: (count, error) => error instanceof Failed && (error.status === 0 || error.status >= 502) && count < 2,
    },
  },
})
