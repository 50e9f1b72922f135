// Every screen, in both languages and at both widths: it shows, it fits, axe finds nothing serious, and its picture is in out/.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { addCluster, Agent, judged, newToken, nodesOf, shopNode, verified } from './agents'
import { everywhere, World } from './harness'

let world: World
let agent: Agent | undefined
const ids: Record<string, string> = {}

type List = { items: { id: string; name?: string; digest?: string; framework?: string; rule?: string }[] }

beforeAll(async () => {
  world = await World.start({ demo: true })
  const api = await world.api()
  const first = async (path: string) => ((await (await api.get('/api/v1' + path)).json()) as List).items[0]
  const upload = await api.post('/api/v1/projects/shop/scans', { multipart: { 'web.yaml': { name: 'web.yaml', mimeType: 'text/yaml', buffer: Buffer.from(manifest) } } })
  expect(upload.status(), await upload.text()).toBe(201)
  await world.scanned()
  const exception = await api.post('/api/v1/exceptions', { data: { targetId: '1', scope: { rule: 'workload/privileged-container' }, reason: 'the driver needs it', category: 'other', expires: new Date(Date.now() + 30 * 86_400_000).toISOString() } })
  expect(exception.status(), await exception.text()).toBe(201)
  ids.exception = ((await exception.json()) as { id: string }).id
  ids.finding = (await first('/findings?limit=1&kind=configuration'))!.id
  ids.vulnerability = (await first('/findings?limit=1&kind=system-vulnerability,application-vulnerability'))!.id
  ids.cve = (await first('/findings?limit=1&kind=system-vulnerability,application-vulnerability'))!.rule!
  ids.cluster = '1'
  ids.task = (await first('/tasks?limit=1'))!.id
  ids.workload = (await first('/assets?kind=workload&limit=1'))!.id
  ids.namespace = (await first('/assets?kind=namespace&limit=1'))!.id
  ids.node = (await first('/assets?kind=node&limit=1'))?.id ?? ''
  ids.digest = ((await (await api.get('/api/v1/assets?kind=image&limit=50')).json()) as List).items.find((i) => i.digest)?.digest ?? ''
  ids.framework = (await first('/compliance'))!.framework!
  // A cluster with two agents.
  const east = await addCluster(world, 'east')
  const token = await newToken(world, east)
  agent = Agent.start(world, 'east-1', token, 'kubeadm.txtar')
  await (await Agent.start(world, 'east-2', token).voice(world)).tell(shopNode)
  await judged(world, east, 'east-1', 'east-2')
  await verified(world, 'CVE-2021-4034', 'east-1')
  for (const n of await nodesOf(world, east)) ids[n.name] = n.id
  ids.emergency = 'CVE-2021-4034'
})
afterAll(async () => {
  await agent?.stop()
  await world?.stop()
})

const manifest = `apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop}
spec:
  hostNetwork: true
  containers:
  - name: web
    image: registry.example.com/shop/web:1.0
    securityContext: {privileged: true}
`

// The screens by name; a part in braces is an id that the demo has.
const screens: [string, string][] = [
  ['overview', '/'],
  ['risks', '/risks'],
  ['risks-findings', '/risks?view=findings'],
  ['risks-assets', '/risks?view=assets'],
  ['risks-detail', '/risks?view=findings&open={finding}'],
  ['finding', '/findings/{finding}'],
  ['finding-vulnerability', '/findings/{vulnerability}'],
  ['exceptions', '/exceptions'],
  ['exception', '/exceptions/{exception}'],
  ['rules', '/rules'],
  ['rule', '/rules/workload/privileged-container'],
  ['vulnerability', '/vulnerabilities/{cve}'],
  ['clusters', '/assets/clusters'],
  ['cluster', '/clusters/{cluster}'],
  ['namespaces', '/assets/namespaces'],
  ['namespace', '/assets/namespaces/{namespace}'],
  ['workloads', '/assets/workloads'],
  ['workload', '/assets/workloads/{workload}'],
  ['nodes', '/assets/nodes'],
  ['node', '/assets/nodes/{node}'],
  ['node-agent', '/nodes/{east-1}'],
  ['node-settings', '/nodes/{east-1}?tab=settings'],
  ['node-unread', '/nodes/{east-1}?tab=unread'],
  ['node-containers', '/nodes/{east-2}?tab=containers'],
  ['node-programs', '/nodes/{east-2}?tab=binaries'],
  ['emergencies', '/emergencies'],
  ['emergency', '/emergencies/{emergency}'],
  ['emergency-results', '/emergencies/{emergency}?tab=results'],
  ['emergency-not-looked', '/emergencies/{emergency}?tab=not-looked'],
  ['emergency-checks', '/emergencies/{emergency}?tab=checks'],
  ['components', '/assets/components'],
  ['gaps', '/gaps'],
  ['attack-paths', '/attack-paths'],
  ['scans', '/scans'],
  ['task', '/tasks/{task}'],
  ['schedules', '/schedules'],
  ['protected-clusters', '/protection/clusters'],
  ['policies', '/protection/policies'],
  ['policy-new', '/protection/policies/new'],
  ['templates', '/protection/templates'],
  ['template-new', '/protection/templates/new'],
  ['preview', '/protection/preview'],
  ['events', '/protection/events'],
  ['unchecked', '/protection/unchecked'],
  ['protection-health', '/protection/health'],
  ['why', '/protection/why?policy=1&rule=STK-W-0001'],
  ['images', '/images'],
  ['images-idle', '/images?view=idle'],
  ['image', '/images/{digest}'],
  ['image-layers', '/images/{digest}?tab=layers'],
  ['image-packages', '/images/{digest}?tab=packages'],
  ['compliance', '/compliance'],
  ['framework', '/compliance/{framework}'],
  ['iac', '/iac'],
  ['project', '/iac/shop'],
  ['reports', '/reports'],
  ['channels', '/integrations/channels'],
  ['registries', '/integrations/registries'],
  ['deliveries', '/integrations/deliveries'],
  ['profile', '/settings/profile'],
  ['tokens', '/settings/tokens'],
  ['users', '/settings/users'],
  ['roles', '/settings/roles'],
  ['sign-in-settings', '/settings/sign-in'],
  ['audit', '/settings/audit'],
  ['advisories', '/settings/advisories'],
  ['system', '/settings/system'],
  ['exception-settings', '/settings/exceptions'],
  ['missing', '/no-such-page'],
]

describe.each(['en', 'zh'] as const)('in %s', (lang) => {
  test('every screen shows, fits and is accessible', { timeout: 900_000 }, async () => {
    const at = screens.map(([name, path]) => [name, path.replace(/\{([\w-]+)\}/g, (_, id: string) => ids[id] ?? '')] as const)
    expect(at.filter(([, path]) => /\/$|=$/.test(path) && path !== '/')).toEqual([]) // what the demo has not
    await everywhere(world, lang, at)
  })

  test('the pages before the sign-in do too', { timeout: 300_000 }, async () => {
    const before = [
      ['sign-in', '/sign-in?error=no-role'],
      ['setup', '/setup#token=x'],
      ['reset', '/reset#token=x'],
    ] as const
    await everywhere(world, lang, before, '')
  })
})
