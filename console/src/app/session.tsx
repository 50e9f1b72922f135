// Who is signed in, and what they may do.
import { createContext, useContext } from 'react'

import { api, type Schemas } from '../api/client'

export type Profile = Schemas['Profile']
export type Action =
  | 'read'
  | 'handle'
  | 'scan'
  | 'except'
  | 'approve'
  | 'manage-clusters'
  | 'manage-policies'
  | 'manage-schedules'
  | 'manage-people'
  | 'manage-settings'
  | 'read-audit'

const context = createContext<Profile | null>(null)
export const ProfileProvider = context.Provider

export function useProfile(): Profile {
  const profile = useContext(context)
  if (!profile) throw new Error('no profile outside of the shell')
  return profile
}

// useMay reports whether the user may do something somewhere. What they may not is not shown; the API refuses it anyway.
export function useMay(action: Action): boolean {
  return useProfile().actions.includes(action)
}

// useMayOn reports the same for one target (cluster or project) and namespace.
export function useMayOn(action: Action, target: string, namespace = ''): boolean {
  const profile = useProfile()
  if (!profile.actions.includes(action)) return false
  return profile.grants.some((g) => rolesThat(action).includes(g.role) && (!g.targetId || g.targetId === '0' || (g.targetId === target && (!g.namespace || g.namespace === namespace))))
}

// rolesThat mirrors the table of the server (internal/identity); the settings page shows the same table.
export function rolesThat(action: Action): Schemas['Grant']['role'][] {
  switch (action) {
    case 'read':
      return ['administrator', 'approver', 'operator', 'auditor', 'viewer']
    case 'handle':
    case 'scan':
    case 'except':
    case 'manage-policies':
    case 'manage-schedules':
      return ['administrator', 'approver', 'operator']
    case 'approve':
      return ['administrator', 'approver']
    case 'read-audit':
      return ['administrator', 'auditor']
    default:
      return ['administrator']
  }
}

export function useSession() {
  return api.useQuery('get', '/api/v1/session', undefined, { retry: false, staleTime: 60_000 })
}
