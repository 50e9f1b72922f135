import { Failed } from '../../api/client'

// refusal gives a failed sign-in or link a sentence of the user's language; other failures stay as they are.
export function refusal(cause: unknown, sentences: { [status: number]: string }): unknown {
  const text = cause instanceof Failed ? sentences[cause.status] : undefined
  return text && cause instanceof Failed ? new Failed(cause.status, text, cause.requestId) : cause
}
