import type { Schemas } from '../../api/client'

export type Line = Schemas['EmergencyLine']
export type Full = Schemas['EmergencyFull']
export type Result = Schemas['EmergencyResult']
export type Outcome = Schemas['EmergencyOutcome']

export const classes = ['read', 'process', 'request', 'private'] as const
export type Class = (typeof classes)[number]
export function classOf(text: string): Class | undefined {
  return classes.find((c) => c === text)
}

export const kinds = ['node', 'image', 'workload', 'cluster'] as const
export type Kind = (typeof kinds)[number]
