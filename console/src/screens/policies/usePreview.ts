import { bodyOf, judges, type Draft } from './draft'
import { api, type Schemas } from '../../api/client'
import { useSettled } from '../../parts/useSettled'

type Ask = Schemas['PreviewBody']
type Options = Omit<Ask, 'policy' | '$schema'> & { enabled?: boolean }

// usePreview asks what a policy would find now, when it has not changed for a moment. What it showed stays until the next answer.
export function usePreview(draft: Draft, { enabled = true, ...rest }: Options = {}) {
  const ready = judges(draft) && enabled
  // The name changes nothing that is found: whoever types it need not wait.
  const body = useSettled<Ask>({ policy: { ...bodyOf(draft), name: draft.id ? draft.name : 'preview', description: undefined }, ...rest })
  const query = api.useQuery('post', '/api/v1/policies/preview', { body }, { enabled: ready && judges(body.policy as Draft), placeholderData: (old) => old, retry: false, staleTime: 30_000, gcTime: 60_000 })
  return { ready, ...query }
}
