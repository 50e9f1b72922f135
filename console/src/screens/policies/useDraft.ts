import { useCallback, useState } from 'react'

import type { Draft } from './draft'

const key = (name: string) => `policy-draft.${name}`

// useDraft keeps what is typed in this tab until it is saved or thrown away: a reload loses nothing. It begins with what was kept, or
// with first.
export function useDraft(name: string, first: Draft): { draft: Draft; change: (d: Draft) => void; forget: () => void; kept: boolean } {
  const [state, setState] = useState(() => {
    const text = sessionStorage.getItem(key(name))
    if (text) {
      try {
        const old = JSON.parse(text) as Draft
        if (old.version === first.version) return { draft: old, kept: true }
      } catch {
        // what cannot be read is no draft
      }
    }
    return { draft: first, kept: false }
  })
  const change = useCallback(
    (draft: Draft) => {
      setState({ draft, kept: true })
      sessionStorage.setItem(key(name), JSON.stringify(draft))
    },
    [name],
  )
  const forget = useCallback(() => sessionStorage.removeItem(key(name)), [name])
  return { ...state, change, forget }
}
