// Agents of nodes for stories. The program itself runs on a recorded node: a tree of files, with a /proc, that it reads as it reads any
// node. What a tree cannot have, containers that run, is said by a second agent: it enrols as the program does, and then speaks by itself.
import { spawn, type ChildProcess } from 'node:child_process'
import { createHash, randomUUID } from 'node:crypto'
import { chmodSync, existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { request } from 'node:https'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect } from 'vitest'

import type { World } from './harness'

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url))

// more is what the recorded node has beside: Debian 11 with packages of emergencies, of which only pkexec can be started as root.
const more: [name: string, text: string, mode?: number][] = [
  ['etc/os-release', 'PRETTY_NAME="Debian GNU/Linux 11 (bullseye)"\nID=debian\nVERSION_ID="11"\n'],
  ['etc/passwd', 'root:x:0:0:root:/root:/bin/sh\n'],
  ['etc/group', 'root:x:0:\n'],
  ['etc/machine-id', '0123456789abcdef0123456789abcdef\n'],
  ['proc/sys/kernel/osrelease', '5.10.0-9-amd64\n'],
  ['usr/bin/pkexec', 'not a program', 0o4755],
  ['usr/bin/sudo', 'not a program', 0o755],
  [
    'var/lib/dpkg/status',
    [
      ['policykit-1', '0.105-31'],
      ['sudo', '1.9.5p1-1'],
      ['liblzma5', '5.2.5-2'],
    ]
      .map(([name, version]) => `Package: ${name}\nStatus: install ok installed\nArchitecture: amd64\nVersion: ${version}\nDescription: of the story\n`)
      .join('\n'),
  ],
]

// unfold writes a recorded node of collect/node into a folder: "a -> b" is a link, "a !0600" has a mode, arguments are lines.
function unfold(file: string, folder: string): string {
  const parts = readFileSync(here(`../../internal/collect/node/testdata/${file}`), 'utf8').split(/^-- (.+) --\n/m)
  for (let i = 1; i < parts.length; i += 2) {
    const [name, target] = parts[i]!.split(' -> ')
    const [path, mode] = name!.split(' !')
    const to = join(folder, path!)
    mkdirSync(dirname(to), { recursive: true })
    if (target) symlinkSync(target, to)
    else {
      writeFileSync(to, /^proc\/\d+\/cmdline$/.test(path!) ? parts[i + 1]!.replaceAll('\n', '\0') : parts[i + 1]!)
      if (mode) chmodSync(to, parseInt(mode, 8))
    }
  }
  for (const [name, text, mode] of more) {
    mkdirSync(dirname(join(folder, name)), { recursive: true })
    writeFileSync(join(folder, name), text)
    if (mode) chmodSync(join(folder, name), mode)
  }
  return folder
}

export type Given = { token: string; server: string; pin: string }

// Agent is the program on a node.
export class Agent {
  private child?: ChildProcess
  private said = ''

  private constructor(
    private readonly node: string,
    private readonly root: string,
    private readonly state: string,
    private readonly given: Given,
  ) {}

  // start runs the program on the recorded node, or on one without anything.
  static start(world: World, node: string, given: Given, recorded?: string): Agent {
    const folder = join(world.folder, node)
    const root = join(folder, 'root')
    mkdirSync(join(root, 'proc'), { recursive: true })
    if (recorded) unfold(recorded, root)
    const agent = new Agent(node, root, join(folder, 'state'), given)
    agent.run()
    return agent
  }

  private run(): void {
    const { token, server, pin } = this.given
    // A busy machine is no node under pressure, and the ports of this machine are not the node's.
    const args = ['agent', '--server', server, '--ca-pin', pin, '--root', this.root, '--host-proc', join(this.root, 'proc'), '--state', this.state, '--restless', '--cpu', '1', '--memory', '256', '--classes', 'read,process,private']
    const env = { ...process.env, STOCKADE_AGENT_TOKEN: token, NODE_NAME: this.node }
    this.child = spawn(process.env.STOCKADE ?? here('../../bin/stockade'), args, { stdio: ['ignore', 'ignore', 'pipe'], env })
    this.child.stderr!.on('data', (data: Buffer) => (this.said += data.toString()))
  }

  // again starts it anew, as a pod is: its next beat is now.
  async again(): Promise<void> {
    await this.stop()
    this.run()
  }

  async stop(): Promise<void> {
    const child = this.child
    if (!child || child.exitCode !== null || child.signalCode !== null) return
    const ended = new Promise((resolve) => child.on('exit', resolve))
    child.kill('SIGTERM')
    await ended
  }

  // voice waits until the agent has enrolled, ends the program, and speaks with its certificate.
  async voice(world: World): Promise<Voice> {
    const file = join(this.state, 'identity.json')
    await waited('the agent enrols', async () => existsSync(file), () => this.said)
    await this.stop()
    const { key, papers } = JSON.parse(readFileSync(file, 'utf8')) as { key: string; papers: { certificate: string; authority: string; node: string } }
    return new Voice(world.url, key, papers.certificate, papers.authority, papers.node)
  }
}

// Voice says what a story has it say, as the agent of one node.
export class Voice {
  constructor(
    private readonly url: string,
    private readonly key: string,
    private readonly cert: string,
    private readonly ca: string,
    readonly node: string,
  ) {}

  private facts = ''

  private post(path: string, body: object): Promise<number> {
    return new Promise((resolve, reject) => {
      const options = { method: 'POST', key: this.key, cert: this.cert, ca: this.ca, ALPNProtocols: ['stockade-agent/1', 'http/1.1'], agent: false as const, headers: { 'Content-Type': 'application/json' } }
      const call = request(this.url + path, options, (answer) => {
        answer.resume()
        answer.on('end', () => resolve(answer.statusCode ?? 0))
      })
      call.on('error', reject)
      call.end(JSON.stringify(body))
    })
  }

  beat(): Promise<number> {
    return this.post('/agent/v1/beat', { at: new Date().toISOString(), version: '0.7.0', state: 'running', classes: ['read', 'process'], facts: this.facts, memory: 20 << 20, cpu: 1200 })
  }

  async tell(facts: object): Promise<void> {
    this.facts = createHash('sha256').update(JSON.stringify(facts)).digest('hex')
    const report = { id: randomUUID(), kind: 'facts', at: new Date().toISOString(), digest: this.facts, last: true, body: facts }
    expect(await this.post('/agent/v1/report', report)).toBe(204)
  }
}

// waited polls; expect.poll may not be used before a test.
export async function waited(what: string, good: () => Promise<boolean>, why: () => string = () => ''): Promise<void> {
  const end = Date.now() + 120_000
  while (!(await good())) {
    if (Date.now() > end) throw new Error(`not within two minutes: ${what}\n${why()}`)
    await new Promise((resolve) => setTimeout(resolve, 250))
  }
}

const id = (n: number) => createHash('sha256').update(`container ${n}`).digest('hex')

// shopNode are the facts of a node with three containers of a shop: one has drifted and may write to the node, one runs a login
// server and was built on the node, the last is as it should be.
export const shopNode = {
  apiVersion: 'stockade.dev/v1',
  kind: 'NodeFacts',
  name: 'east-2',
  os: { id: 'debian', versionId: '12', name: 'Debian GNU/Linux 12 (bookworm)', kernel: '6.1.0-13-amd64', arch: 'amd64' },
  roles: ['worker'],
  runtime: { name: 'containerd', version: '1.7.22', runc: '1.1.14', socket: '/run/containerd/containerd.sock' },
  kubelet: { flags: { config: '/var/lib/kubelet/config.yaml' }, config: { authentication: { anonymous: { enabled: false } }, readOnlyPort: 0 } },
  binaries: [
    { component: 'kubelet', path: '/usr/bin/kubelet', running: true, version: '1.34.4', go: 'go1.24.9', module: 'k8s.io/kubernetes', genuine: 'yes', evidence: 'Go build information', sha256: id(90) },
    { component: 'containerd', path: '/usr/bin/containerd', running: true, replaced: true, version: '1.7.22', genuine: 'yes', evidence: 'Go build information', package: 'containerd.io 1.7.22-1', sha256: id(91) },
    { component: 'kubelet', path: '/usr/bin/kubelet', container: 'shop/stock-6c9/stock', running: true, genuine: 'it has no build information of Kubernetes', sha256: id(92) },
  ],
  certificates: [
    { path: '/var/lib/kubelet/pki/kubelet.crt', subject: 'system:node:east-2', notAfter: '2020-01-01T00:00:00Z', keyType: 'ecdsa', keyBits: 256, daysLeft: -3 },
    { path: '/etc/kubernetes/pki/ca.crt', subject: 'kubernetes', notAfter: '2035-01-01T00:00:00Z', keyType: 'rsa', keyBits: 2048, daysLeft: 3000 },
  ],
  containers: [
    {
      id: id(1),
      namespace: 'shop',
      pod: 'stock-6c9',
      container: 'stock',
      runtime: 'containerd',
      handler: 'runc',
      image: 'registry.example.com/shop/stock:4.2',
      digest: `sha256:${id(2)}`,
      hostPid: true,
      processes: [
        { name: 'stock', exe: '/usr/local/bin/stock', args: ['/usr/local/bin/stock', '--listen', ':8080'], uid: 0, caps: ['CAP_SYS_ADMIN'], seccomp: 'disabled', lsm: 'unconfined' },
        { name: 'xmrig', exe: '/tmp/.cache/xmrig', args: ['/tmp/.cache/xmrig', '-o', 'pool.example.net:3333'], uid: 0, seccomp: 'disabled', lsm: 'unconfined', role: 'miner' },
      ],
      mounts: [
        { source: '/var/lib/kubelet', path: '/kubelet', propagation: 'shared' },
        { source: '/etc', path: '/host/etc', readOnly: true },
      ],
      drift: [
        { path: '/tmp/.cache/xmrig', why: 'added', running: true, sha256: id(3), size: 8_123_904, mode: '0755' },
        { path: '/usr/bin/curl', why: 'changed', sha256: id(4), size: 260_328, mode: '0755' },
      ],
      writableBytes: 8_400_000,
      writableFiles: 12,
    },
    {
      id: id(5),
      namespace: 'shop',
      pod: 'till-0',
      container: 'till',
      runtime: 'containerd',
      handler: 'runc',
      image: 'shop/till:dev',
      imageId: `sha256:${id(6)}`,
      local: true,
      processes: [{ name: 'sshd', exe: '/usr/sbin/sshd', args: ['/usr/sbin/sshd', '-D'], uid: 0, seccomp: 'filter', lsm: 'cri-containerd.apparmor.d (enforce)', role: 'sshd' }],
    },
    {
      id: id(7),
      namespace: 'shop',
      pod: 'web-7d4b9c5f6d-x2x7z',
      container: 'web',
      runtime: 'containerd',
      handler: 'runc',
      image: 'registry.example.com/shop/web:1.0',
      digest: `sha256:${id(8)}`,
      readOnlyRoot: true,
      userNamespace: true,
      processes: [{ name: 'web', exe: '/web', args: ['/web'], uid: 165536, seccomp: 'filter', lsm: 'cri-containerd.apparmor.d (enforce)', noNewPrivileges: true }],
    },
  ],
  skipped: [{ check: 'containers/writable layers', needs: 'the capability DAC_READ_SEARCH', reason: 'permission denied', code: 'forbidden' }],
}

// addCluster adds a cluster whose connector never comes: its agents speak for themselves.
export async function addCluster(world: World, name: string): Promise<string> {
  const added = await (await world.api()).post('/api/v1/clusters', { data: { name, kind: 'connector' } })
  expect(added.status(), await added.text()).toBe(201)
  return ((await added.json()) as { id: string }).id
}

// newToken makes a token for the agents of a cluster by the API.
export async function newToken(world: World, cluster: string): Promise<Given> {
  const made = await (await world.api()).post(`/api/v1/clusters/${cluster}/agents/tokens`, { data: { uses: 5 } })
  expect(made.status(), await made.text()).toBe(201)
  const { token, server, caPin } = (await made.json()) as { token: string; server: string; caPin: string }
  return { token, server, pin: caPin }
}

export type NodeRow = { id: string; name: string; state: string; cluster: string; factsAt?: string; judgedAt?: string }

export async function nodesOf(world: World, cluster: string): Promise<NodeRow[]> {
  return ((await (await (await world.api()).get(`/api/v1/nodes?target=${cluster}`)).json()) as { items: NodeRow[] }).items
}

// judged waits until what agents reported of nodes was judged.
export async function judged(world: World, cluster: string, ...names: string[]): Promise<void> {
  await waited(`${names.join(', ')} judged`, async () => {
    const list = await nodesOf(world, cluster)
    return names.every((name) => list.some((n) => n.name === name && n.judgedAt && !n.judgedAt.startsWith('0001')))
  })
}

type Result = { name: string; verdict: string }

// verified waits until an agent has verified an emergency on its node.
export async function verified(world: World, emergency: string, node: string): Promise<void> {
  await waited(`${emergency} on ${node}`, async () => {
    const { items } = (await (await (await world.api()).get(`/api/v1/emergencies/${emergency}/results?kind=node`)).json()) as { items: Result[] | null }
    return (items ?? []).some((r) => r.name === node)
  })
}
