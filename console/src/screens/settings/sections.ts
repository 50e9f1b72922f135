import type { Action } from '../../app/session'

// sections are the pages of the settings, in the order of the menu. Those that need an action are there for who may do it.
export const sections = [
  { name: 'profile', group: 'own' },
  { name: 'tokens', group: 'own' },
  { name: 'users', group: 'people', needs: 'manage-people' },
  { name: 'roles', group: 'people' },
  { name: 'sign-in', group: 'people', needs: 'manage-people' },
  { name: 'audit', group: 'people', needs: 'read-audit' },
  { name: 'advisories', group: 'server' },
  { name: 'exceptions', group: 'server' },
  { name: 'system', group: 'server', needs: 'manage-settings' },
] as const satisfies readonly { name: string; group: string; needs?: Action }[]

export type Section = (typeof sections)[number]['name']

// mayOpen reports whether somebody who may do these actions sees a section.
export function mayOpen(section: (typeof sections)[number], actions: string[]): boolean {
  return !('needs' in section) || actions.includes(section.needs)
}
