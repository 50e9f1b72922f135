import { useTranslation } from 'react-i18next'

import type { Action } from '../../app/session'

// actions are what roles allow, in the order of the table.
export const actions: Action[] = ['read', 'handle', 'scan', 'except', 'approve', 'manage-schedules', 'manage-clusters', 'manage-policies', 'read-audit', 'manage-people', 'manage-settings']

// useActionName names an action for people; one that this console does not know keeps its word.
export function useActionName() {
  const { t } = useTranslation('settings')
  return (action: string) => {
    const known = actions.find((a) => a === action)
    return known ? t(`action.${known}`) : action
  }
}
