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
  const again = request.clone() // a body can be read once
  let response = await reach(request)
  if (response.status === 401 && renewal.expected(request)) {
    await renewal.wait() // a dialog over the page asks for the password; nothing typed is lost
    response = await reach(again)
  }
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
  if (response.ok || response.status === 401 || response.status === 304) return response
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

export const call = createFetchClient<paths>({
  baseUrl: location.origin,
  fetch: send,
  // The API takes lists in one parameter, with commas.
  querySerializer: { array: { style: 'form', explode: false } },
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
