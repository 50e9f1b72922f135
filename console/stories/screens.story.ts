// Every screen, in both languages and at both widths: it shows, it fits, axe finds nothing serious, and its picture is in out/.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { accessible, fits, settled, shot, World } from './harness'

let world: World
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
})
afterAll(() => world?.stop())

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

const looks = [
  { lang: 'en', width: 1280, height: 900, dark: false },
  { lang: 'zh', width: 1280, height: 900, dark: true },
  { lang: 'en', width: 390, height: 844, dark: true },
  { lang: 'zh', width: 390, height: 844, dark: false },
] as const

describe.each(looks)('in $lang at $width pixels, dark: $dark', (look) => {
  test('every screen shows, fits and is accessible', { timeout: 600_000 }, async () => {
    const page = await world.page('root-of-all', look)
    const wrong: string[] = []
    for (const [name, path] of screens) {
      const where = path.replace(/\{(\w+)\}/g, (_, id: string) => ids[id] ?? '')
      if (/\/$|=$/.test(where) && path !== '/') {
        wrong.push(`${name}: the demo has nothing for ${path}`)
        continue
      }
      try {
        await page.goto(where)
        await settled(page)
        await shot(page, `${look.lang}-${look.width}-${name}`)
        await fits(page)
        await accessible(page)
        world.clean()
      } catch (error) {
        wrong.push(`${name}: ${error instanceof Error ? error.message : String(error)}`)
      }
    }
    await page.context().close()
    expect(wrong).toEqual([])
  })

  test('the pages before the sign-in do too', async () => {
    const page = await world.page('', look)
    for (const [name, path] of [
      ['sign-in', '/sign-in?error=no-role'],
      ['setup', '/setup#token=x'],
      ['reset', '/reset#token=x'],
    ] as const) {
      await page.goto(path)
      await settled(page)
      await shot(page, `${look.lang}-${look.width}-${name}`)
      await fits(page)
      await accessible(page)
    }
    world.clean()
    await page.context().close()
  })
})
