import type { Schemas } from '../../api/client'

export type Node = Schemas['NodesNode']
export type Details = Schemas['NodesDetails']
export type NodeFacts = Schemas['NodeFacts']
export type Binary = Schemas['BinaryFact']
export type Container = Schemas['ContainerFact']
export type Process = Schemas['ContainerProcess']
export type Skip = Schemas['SkipFact']
export type Install = Schemas['AgentInstall']

export const states = ['protected', 'paused', 'degraded', 'away', 'never', 'unsupported'] as const
export type State = (typeof states)[number]

// codes are why something was not looked at; a code that this console does not know is shown as "left out".
const codes = ['forbidden', 'unreachable', 'limit', 'unsupported', 'broken', 'skipped'] as const
export type Code = (typeof codes)[number]

export function codeOf(code: string): Code {
  return codes.find((c) => c === code) ?? 'skipped'
}

const checks = ['processes', 'containers', 'container-drift', 'container-processes', 'local-images', 'malware', 'kernel', 'os', 'mounts', 'listening', 'runtime', 'kubelet', 'kubeProxy', 'apiserver', 'files', 'binaries', 'certificates', 'encryption', 'auditPolicy', 'services', 'tools', 'emergency'] as const

// checkOf is the group of a check ("files/kubelet-config" is of "files"); undefined for what this console does not know.
export function checkOf(check: string): (typeof checks)[number] | undefined {
  const group = check.split('/')[0]
  return checks.find((c) => c === group)
}
