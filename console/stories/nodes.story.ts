// Nodes and emergencies: agents are enabled in the dialog and the program enrols with what it says, the node is seen as it is, a search
// for an emergency goes from the list to the evidence, containers show what is wrong with them, and an agent is forgotten.
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Page } from 'playwright-core'

import { addCluster, Agent, judged, newToken, nodesOf, shopNode, verified, type Voice } from './agents'
import { accessible, everywhere, settled, shot, World } from './harness'

let world: World
let east: string // id of the cluster
let agent: Agent | undefined
let worker: Voice

beforeAll(async () => {
  world = await World.start({ demo: true })
  await world.addUser('audrey', 'auditor')
  east = await addCluster(world, 'east')
})
afterAll(async () => {
  await agent?.stop()
  await world?.stop()
})

const choose = async (page: Page, box: string, option: string) => {
  await page.getByRole('combobox', { name: box }).click()
  await page.locator('.ant-select-item-option').filter({ hasText: option }).click()
}

const nodeOf = async (name: string) => (await nodesOf(world, east)).find((n) => n.name === name)!

test('agents are enabled: what they bring, a token, and the node as soon as it comes', async () => {
  const page = await world.page()
  await page.goto('/assets/nodes')
  await settled(page)
  await page.getByRole('button', { name: /^Without agent [1-9]/ }).waitFor() // those that the demo's objects name
  await page.getByRole('button', { name: 'Enable agents' }).click()
  const dialog = page.getByRole('dialog')
  await dialog.getByRole('combobox', { name: 'Cluster' }).click()
  await page.locator('.ant-select-item-option').first().waitFor()
  expect(await page.locator('.ant-select-item-option').allTextContents()).toEqual(['east']) // a snapshot has no nodes that run
  await page.locator('.ant-select-item-option').click()
  await dialog.getByText('What is created: 5 objects').click()
  await dialog.getByRole('cell', { name: 'DaemonSet' }).waitFor()
  await dialog.getByLabel('Nodes that it is good for').fill('2')
  await dialog.getByLabel('Note').fill('told by the story')
  await accessible(page)
  await shot(page, 'nodes-enrol')
  await dialog.getByRole('button', { name: 'Make a token' }).click()
  await dialog.getByText('The token stands in the texts below, now and never again').waitFor()
  await dialog.getByRole('region', { name: 'Manifest' }).getByText('kind: DaemonSet').waitFor()
  await dialog.getByRole('tab', { name: 'Host outside of pods' }).click()
  const command = await dialog.getByRole('region', { name: 'Host outside of pods' }).innerText()
  const said = /STOCKADE_AGENT_TOKEN=(\S+) stockade agent --server (\S+) --ca-pin (\S+)/.exec(command)
  expect(said, command).not.toBeNull()
  await dialog.getByText('0 of 0 nodes of the cluster have an agent that answers').waitFor()
  await accessible(page)
  await shot(page, 'nodes-token')
  agent = Agent.start(world, 'east-1', { token: said![1]!, server: said![2]!, pin: said![3]! }, 'kubeadm.txtar')
  await dialog.getByText('1 of 1 nodes of the cluster have an agent that answers').waitFor({ timeout: 60_000 })
  await dialog.getByText('1 token of this cluster').click()
  await dialog.getByRole('cell', { name: '1 / 2' }).waitFor()
  await dialog.getByRole('cell', { name: 'told by the story · root-of-all' }).waitFor()
  await page.keyboard.press('Escape')
  await page.waitForURL((url) => !url.searchParams.has('enrol'))
  const row = page.getByRole('row').filter({ has: page.getByRole('link', { name: 'east-1', exact: true }) }).filter({ hasText: 'east' })
  await row.getByText('Protected').waitFor()
  await page.getByRole('button', { name: /^Protected 1$/ }).click()
  await page.waitForURL(/state=protected/)
  await expect.poll(() => page.getByRole('table', { name: 'Nodes' }).getByRole('row').count()).toBe(2) // with the head
  world.clean()
})

test('the node is what its files and processes say, and what was not looked at has its reason', async () => {
  await judged(world, east, 'east-1')
  const page = await world.page()
  await page.goto('/assets/nodes?state=protected')
  await settled(page)
  await page.getByRole('link', { name: 'east-1', exact: true }).click()
  await page.waitForURL(/\/nodes\/\d+$/)
  await page.getByRole('heading', { level: 1, name: 'east-1' }).waitFor()
  const system = page.getByRole('region', { name: 'System' })
  await system.getByText('Debian GNU/Linux 11 (bullseye)').waitFor()
  await system.getByText('5.10.0-9-amd64').waitFor()
  await system.getByText('kubeadm').waitFor()
  await page.getByRole('region', { name: 'Agent' }).getByText('read files, read processes, a file of its own in a private folder').waitFor()
  await page.getByRole('link', { name: /^Unsafe configuration: [1-9]/ }).first().waitFor()

  await page.getByRole('tab', { name: 'Settings and files' }).click()
  const kubelet = page.getByRole('table', { name: 'kubelet' })
  await kubelet.getByRole('row').filter({ hasText: 'authentication.anonymous.enabled' }).getByText('true').waitFor()
  await kubelet.getByRole('row').filter({ hasText: '--api-token' }).getByText('****').waitFor()
  await page.getByRole('table', { name: 'Files that matter' }).getByRole('row').filter({ hasText: '/etc/kubernetes/pki/ca.key' }).getByText('0640').waitFor()
  await page.getByRole('table', { name: 'Listening ports' }).getByRole('row').filter({ hasText: '4444' }).getByText('container/0123456789ab').waitFor()

  await page.getByRole('tab', { name: 'Containers' }).click()
  await page.getByText('Something about containers could not be read on this node').first().waitFor()
  await page.getByText('The containers of this node were not read').waitFor() // an empty list would say that none runs
  await page.getByRole('tab', { name: 'Not looked at' }).click()
  await page.getByRole('row').filter({ hasText: '/proc of the node and the socket of the container runtime' }).getByText('the node does not run').waitFor()
  await page.getByRole('heading', { name: 'What checks need' }).waitFor()

  await page.getByRole('link', { name: 'All findings', exact: true }).click()
  await page.waitForURL(/view=findings.*asset=\d+/)
  await settled(page)
  await page.getByRole('row').filter({ hasText: /anonymous/i }).first().waitFor()
  world.clean()
})

test('an emergency is looked for now: from the list to what each check saw', async () => {
  await verified(world, 'CVE-2021-4034', 'east-1')
  const page = await world.page()
  await page.goto('/emergencies')
  await settled(page)
  await page.getByRole('searchbox', { name: 'Search by name, CVE or title' }).fill('pwnkit')
  const row = page.getByRole('row').filter({ hasText: 'CVE-2021-4034' })
  await row.getByText('Exposed').waitFor()
  await row.getByRole('link', { name: 'PwnKit' }).click()
  await page.waitForURL(/\/emergencies\/CVE-2021-4034/)
  await page.getByRole('heading', { name: 'What to do' }).waitFor()
  await page.getByRole('tab', { name: 'How it is verified' }).click()
  await page.getByRole('cell', { name: 'the program runs as root (setuid)' }).waitFor()

  await page.getByRole('button', { name: 'Scan now' }).click()
  const dialog = page.getByRole('dialog')
  await dialog.getByRole('radio', { name: 'Some clusters' }).check()
  await choose(page, 'Clusters', 'east')
  await dialog.getByText('Look for PwnKit now').click() // the list of the box closes
  await accessible(page)
  await shot(page, 'emergencies-scan')
  await dialog.getByRole('button', { name: 'Scan now' }).click()
  await page.waitForURL(/\/tasks\/\d+/)
  await page.getByRole('heading', { level: 1, name: 'PwnKit' }).waitFor()
  await settled(page)
  await shot(page, 'emergencies-progress')
  await agent!.again()
  await expect
    .poll(async () => ((await (await (await world.api()).get(`/api/v1${new URL(page.url()).pathname}`)).json()) as { status: string }).status, { timeout: 100_000, interval: 500 })
    .not.toMatch(/ready|running/)
  await page.getByText('east-1').first().waitFor()
  await settled(page)
  await accessible(page)
  await shot(page, 'emergencies-done')

  await page.goto('/emergencies/CVE-2021-4034?tab=results&kind=node')
  await settled(page)
  await page.getByRole('table', { name: 'Where it was seen' }).getByText('east-1').click()
  const detail = page.getByRole('dialog')
  await detail.getByText('0.105-31').first().waitFor()
  const seen = detail.getByRole('region', { name: 'the program runs as root (setuid)' })
  await seen.getByText('Holds').waitFor()
  await seen.getByText('/usr/bin/pkexec').waitFor()
  await accessible(page)
  await shot(page, 'emergencies-evidence')
  await detail.getByRole('link', { name: 'As findings' }).click()
  await page.waitForURL(/view=findings/)
  await settled(page)
  await page.getByRole('row').filter({ hasText: 'east-1' }).first().waitFor()
  // sudo has the version and cannot be started as root: that is no exposure, and says why.
  await page.goto('/emergencies/CVE-2021-3156?tab=results&kind=node')
  await settled(page)
  await page.getByRole('table', { name: 'Where it was seen' }).getByRole('row').filter({ hasText: 'east-1' }).getByText('Version only').waitFor()
  world.clean()
})

test('images are verified by what is known of them, and what is not known is told', async () => {
  const page = await world.page()
  await page.goto('/emergencies/CVE-2021-44228')
  await settled(page)
  const counts = page.getByRole('region', { name: 'In the clusters' }).first()
  await counts.getByRole('link', { name: /^Images, Not looked at: [1-9]/ }).click()
  await page.waitForURL(/tab=not-looked/)
  await settled(page)
  await page.getByRole('table', { name: 'Not looked at' }).getByText('calico/node').first().waitFor()
  await page.goto('/emergencies/CVE-2021-44228?tab=results&kind=image')
  await settled(page)
  await page.getByRole('table', { name: 'Where it was seen' }).getByText('shop/checkout').first().waitFor()
  world.clean()
})

test('how much checks may touch is set for a cluster', async () => {
  const page = await world.page()
  for (const now of [false, true]) {
    await page.goto('/emergencies')
    await settled(page)
    await page.getByRole('button', { name: 'Classes of checks' }).click()
    const dialog = page.getByRole('dialog')
    await choose(page, 'Cluster', 'east')
    const request = dialog.getByRole('checkbox', { name: 'One request to a local port' })
    await request.waitFor()
    const before = await request.isChecked()
    if (now) expect(before).toBe(true) // what the first round saved
    else {
      await accessible(page)
      await shot(page, 'emergencies-classes')
      await request.setChecked(true)
      await dialog.getByRole('button', { name: 'Save' }).click()
    }
    if (now) await dialog.getByRole('button', { name: 'Cancel' }).click()
    await page.waitForURL((url) => !url.searchParams.has('classes'))
  }
  const { classes } = (await (await (await world.api()).get(`/api/v1/clusters/${east}/emergency-checks`)).json()) as { classes: string[] }
  expect(classes).toContain('request')
  world.clean()
})

test('containers show what is wrong with them', async () => {
  const enrolled = Agent.start(world, 'east-2', await newToken(world, east))
  worker = await enrolled.voice(world)
  await worker.tell(shopNode)
  expect(await worker.beat()).toBe(200)
  await judged(world, east, 'east-2')
  const page = await world.page()
  await page.goto(`/nodes/${(await nodeOf('east-2')).id}?tab=containers`)
  await settled(page)
  const table = page.getByRole('table', { name: 'Containers' })
  const stock = table.getByRole('row').filter({ hasText: 'shop/stock-6c9/stock' })
  await stock.getByText('Drift').waitFor()
  await table.getByRole('row').filter({ hasText: 'shop/till-0/till' }).getByText('Local image').waitFor()
  await page.getByRole('searchbox', { name: /Search by namespace/ }).fill('stock')
  await expect.poll(() => table.getByRole('row').count()).toBe(2)
  await stock.click()
  const detail = page.getByRole('dialog')
  const drift = detail.getByRole('table', { name: 'Drift' })
  await drift.getByRole('row').filter({ hasText: '/tmp/.cache/xmrig' }).getByText('added').waitFor()
  await detail.getByRole('table', { name: 'Processes' }).getByText('miner', { exact: true }).waitFor()
  await detail.getByRole('table', { name: 'Mounts of the host' }).getByRole('row').filter({ hasText: '/var/lib/kubelet' }).getByText('writable').waitFor()
  await accessible(page)
  await shot(page, 'nodes-container')
  await page.keyboard.press('Escape')
  await page.getByRole('tab', { name: 'Programs' }).click()
  await page.getByRole('row').filter({ hasText: 'in shop/stock-6c9/stock' }).getByText('Only calls itself so').waitFor()
  await page.getByRole('row').filter({ hasText: 'containerd.io' }).getByText('Replaced while running').waitFor()
  await page.getByRole('tab', { name: 'Settings and files' }).click()
  await page.getByRole('table', { name: 'Certificates' }).getByText('Expired').waitFor()
  world.clean()
})

test.each(['en', 'zh'] as const)('every page is accessible and fits: %s', async (lang) => {
  const [cp, w] = [(await nodeOf('east-1')).id, (await nodeOf('east-2')).id]
  const pages = {
    'nodes-list': '/assets/nodes',
    'nodes-enable': `/assets/nodes?enrol=${east}`,
    'nodes-overview': `/nodes/${cp}`,
    'nodes-settings': `/nodes/${cp}?tab=settings`,
    'nodes-unread': `/nodes/${cp}?tab=unread`,
    'nodes-blind': `/nodes/${cp}?tab=containers`,
    'nodes-containers': `/nodes/${w}?tab=containers`,
    'nodes-programs': `/nodes/${w}?tab=binaries`,
    'nodes-worker': `/nodes/${w}`,
    'emergencies-list': '/emergencies',
    'emergencies-about': '/emergencies/CVE-2021-4034',
    'emergencies-results': '/emergencies/CVE-2021-44228?tab=results',
    'emergencies-not-looked': '/emergencies/CVE-2021-44228?tab=not-looked',
    'emergencies-checks': '/emergencies/CVE-2024-3094?tab=checks',
    'emergencies-choose': `/emergencies?classes=${east}`,
  }
  await everywhere(world, lang, Object.entries(pages))
}, 300_000)

test('an auditor sees it all, and may change nothing', async () => {
  const page = await world.page('audrey')
  const { id } = await nodeOf('east-1')
  for (const path of ['/assets/nodes?enrol=choose', `/nodes/${id}`, '/emergencies?classes=choose', '/emergencies/CVE-2021-4034?scan=true']) {
    await page.goto(path)
    await settled(page)
    expect(await page.getByRole('button', { name: /Enable agents|Scan now|Forget|Classes of checks/ }).count(), path).toBe(0)
    expect(await page.getByRole('dialog').count(), path).toBe(0)
  }
  const api = await world.api('audrey')
  expect((await api.delete(`/api/v1/nodes/${id}`)).status()).toBe(403)
  expect((await api.post('/api/v1/emergencies/CVE-2021-4034/scan', { data: { allClusters: true } })).status()).toBe(403)
  world.clean()
})

test('an agent is forgotten, and its certificate is good for nothing any more', async () => {
  const page = await world.page()
  await page.goto(`/nodes/${(await nodeOf('east-2')).id}`)
  await settled(page)
  await page.getByRole('button', { name: 'Forget the agent' }).click()
  const dialog = page.getByRole('dialog')
  await dialog.getByText('The cluster does not have this node: it leaves the list.').waitFor()
  await accessible(page)
  await dialog.getByRole('button', { name: 'Forget the agent' }).click()
  await page.waitForURL(/\/assets\/nodes/)
  await settled(page)
  await page.getByRole('link', { name: 'east-1', exact: true }).first().waitFor()
  await expect.poll(() => page.getByRole('link', { name: 'east-2', exact: true }).count()).toBe(0)
  expect(await worker.beat()).toBe(403)
  world.clean()
})
