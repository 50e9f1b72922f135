import { blank, draftOf, type Draft } from './draft'
import type { Policy, Preset } from './shapes'

// begin is a draft made of a starting point, or of nothing. What was already typed stays, unless it came from another one.
export function begin(preset: Preset | undefined, typed: Pick<Draft, 'name' | 'description'>): Draft {
  if (!preset) return { ...blank(), name: typed.name, description: typed.description }
  const d = draftOf(preset.policy as Policy)
  return { ...d, id: undefined, version: undefined, name: typed.name || d.name, description: typed.description || d.description }
}
