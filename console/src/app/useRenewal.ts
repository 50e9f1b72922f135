import { useSyncExternalStore } from 'react'

import { renewal } from './renewal'

// useRenewal reports whether the session ended while the page was open.
export function useRenewal(): boolean {
  return useSyncExternalStore(renewal.subscribe, renewal.ended)
}
