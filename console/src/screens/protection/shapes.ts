// The nouns of the protection of clusters, as the API has them.
import type { Schemas } from '../../api/client'

export type Summary = Schemas['ProtectSummary']
export type Status = Schemas['ProtectStatus']
export type Plan = Schemas['Plan']
export type Settings = Schemas['ProtectSettings']
export type Health = Schemas['Health']
export type State = Summary['state']

export const states = ['protected', 'no-policy', 'policy-failed', 'installing', 'error', 'removing', 'remove-failed', 'unprotected'] as const satisfies readonly State[]

// standing reports whether requests to a cluster are checked.
export const standing = (s: string) => s === 'protected' || s === 'no-policy' || s === 'policy-failed'
// on reports whether a cluster is to be protected.
export const on = (s: string) => standing(s) || s === 'installing' || s === 'error'
