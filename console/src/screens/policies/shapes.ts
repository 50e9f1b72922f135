// The nouns of policies, as the API has them.
import type { Schemas } from '../../api/client'

export type Policy = Schemas['Policy']
export type Kept = Schemas['BookRecord']
export type Version = Schemas['Version']
export type Preset = Schemas['Preset']
export type Rule = Schemas['PolicyRule']
export type Template = Schemas['TemplateRecord']
export type Param = Schemas['Param']
export type RuleUse = NonNullable<Policy['rules']>[number]
export type ImageCheck = NonNullable<Policy['checks']>[number]
export type TemplateUse = NonNullable<Policy['templates']>[number]
export type AllowedImage = NonNullable<Policy['allowedImages']>[number]
export type Scope = NonNullable<Policy['scope']>
export type Rollout = NonNullable<Policy['rollout']>
export type Action = Policy['action']
export type Check = ImageCheck['check']

export const actions = ['audit', 'warn', 'block'] as const satisfies readonly Action[]
export const checks = ['vulnerability', 'malware', 'baseline', 'secret', 'unscanned', 'registry', 'signature', 'tag'] as const satisfies readonly Check[]
