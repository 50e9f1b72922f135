// A node of a real cluster, with an agent in a DaemonSet, as its operator sees it: facts, containers that run, what is wrong with them,
// and what the emergencies of the list are there. e2e/agent runs this and gives what it needs by the environment.
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Page } from 'playwright-core'

import { accessible, fits, password, settled, shot, World } from './harness'

type Given = {
  url: string // of the server, as the browser reaches it
  name: string
  password: string // of the administrator
  cluster: string
  target: string // id of the cluster
  node: string // its name
  id: string // its id on the server
  image: string // of the pods
  kubelet: string // its version
}

const given = JSON.parse(process.env.STOCKADE_STORY ?? '{}') as Given
let world: World
let page: Page

beforeAll(async () => {
  world = await World.join(given.url, given.name, given.password)
  await world.addUser('olga', 'operator')
})
afterAll(() => world?.stop())

// seen takes a picture and holds the page to what every page is held to.
const seen = async (name: string) => {
  await settled(page)
  await shot(page, `agent-${name}`)
  await fits(page)
  await accessible(page)
  world.clean()
}

test('the operator signs in and opens the node, which is protected', async () => {
  page = await world.page('', { keep: true })
  await page.goto('/assets/nodes')
  await page.waitForURL(/sign-in/)
  await page.getByLabel('User name').fill('olga')
  await page.getByLabel('Password', { exact: true }).fill(password)
  await page.getByRole('button', { name: 'Sign in' }).click()
  await page.waitForURL(/\/assets\/nodes/)
  const row = page.getByRole('row').filter({ has: page.getByRole('link', { name: given.node, exact: true }) })
  await row.getByText('Protected').waitFor()
  await seen('nodes')
  await row.getByRole('link', { name: given.node, exact: true }).click()
  await page.waitForURL(new RegExp(`/nodes/${given.id}$`))
  const system = page.getByRole('region', { name: 'System' })
  await system.getByText(given.kubelet).first().waitFor()
  await system.getByText(/containerd/).first().waitFor()
  await page.getByRole('link', { name: /^Unsafe configuration: [1-9]/ }).first().waitFor()
  await seen('node')
})

test('its containers are what runs, and each shows what is wrong with it', async () => {
  await page.getByRole('tab', { name: 'Containers' }).click()
  const table = page.getByRole('table', { name: 'Containers' })
  await table.getByText('shop/mask/mask').waitFor()
  await table.getByRole('row').filter({ hasText: 'shop/till/till' }).getByText('Suspicious process').waitFor()
  const stock = table.getByRole('row').filter({ hasText: 'shop/stock/stock' })
  await stock.getByText('Drift').waitFor()
  await stock.getByText(given.image).waitFor()
  await seen('containers')
  await stock.click()
  const detail = page.getByRole('dialog')
  await detail.getByRole('table', { name: 'Drift' }).getByRole('row').filter({ hasText: '/cellar' }).waitFor()
  await detail.getByRole('table', { name: 'Processes' }).getByText('/cellar').first().waitFor()
  await seen('container')
  await page.keyboard.press('Escape')
  await page.getByRole('tab', { name: 'Programs' }).click()
  await page.getByRole('row').filter({ hasText: 'in shop/mask/mask' }).getByText('Only calls itself so').waitFor()
  await page.getByRole('row').filter({ has: page.getByText('kubelet', { exact: true }) }).getByText('Genuine').first().waitFor()
  await seen('programs')
  await page.getByRole('tab', { name: 'Settings and files' }).click()
  await page.getByRole('table', { name: 'kubelet' }).getByRole('row').filter({ hasText: '--anonymous-auth' }).getByText('true').waitFor()
  await seen('settings')
  await page.getByRole('tab', { name: 'Not looked at' }).click()
  await seen('unread')
})

test('what is wrong is a finding on the node, or on the pod that it is about', async () => {
  await page.getByRole('link', { name: 'All findings', exact: true }).click()
  await page.waitForURL(/view=findings.*asset=\d+/)
  await settled(page)
  await page.getByRole('row').filter({ hasText: /anonymous/i }).first().waitFor()
  await page.goto(`/risks?view=findings&target=${given.target}&namespace=shop`)
  await settled(page)
  for (const pod of ['till', 'stock', 'mask']) await page.getByRole('row').filter({ hasText: pod }).first().waitFor()
  await seen('findings')
})

test('the emergencies of the list are verified on it', async () => {
  await page.goto('/emergencies')
  await settled(page)
  await page.getByRole('searchbox', { name: 'Search by name, CVE or title' }).fill('leaky vessels')
  await page.getByRole('row').filter({ hasText: 'CVE-2024-21626' }).getByRole('link', { name: 'Leaky Vessels', exact: true }).click()
  await page.waitForURL(/\/emergencies\/CVE-2024-21626/)
  await page.getByRole('region', { name: 'In the clusters' }).first().waitFor()
  await seen('emergency')
  await page.getByRole('tab', { name: 'Where it was seen' }).click()
  const table = page.getByRole('table', { name: 'Where it was seen' })
  // What runc of this machine is decides the verdict: the API says the same.
  const { items } = (await (await (await world.api()).get('/api/v1/emergencies/CVE-2024-21626/results?kind=node')).json()) as { items: { name: string; verdict: string }[] }
  const words: Record<string, string> = { exposed: 'Exposed', unknown: 'Unknown', 'version-only': 'Version only', 'fixed-by-backport': 'Fixed by backport', fixed: 'Fixed', 'not-present': 'Not present' }
  expect(items.map((r) => r.name)).toEqual([given.node])
  const row = table.getByRole('row').filter({ hasText: given.node })
  await row.getByText(words[items[0]!.verdict]!, { exact: true }).waitFor()
  await row.getByText('runc').first().waitFor()
  await row.click()
  await page.getByRole('dialog').getByRole('heading', { name: 'What the checks saw' }).waitFor()
  await seen('evidence')
})
