// Clusters: what is wrong with a kubeconfig is told clearly, a connector waits for its cluster, and what a cluster holds is shown.
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Page } from 'playwright-core'

import { accessible, fits, settled, World } from './harness'

let world: World

beforeAll(async () => {
  world = await World.start({ demo: true })
  await world.addUser('audrey', 'auditor')
})
afterAll(() => world?.stop())

const kubeconfig = (server: string) => `apiVersion: v1
kind: Config
current-context: it
contexts: [{name: it, context: {cluster: it, user: it}}]
clusters: [{name: it, cluster: {server: "${server}"}}]
users: [{name: it, user: {token: not-a-token}}]
`

async function first(kind: string): Promise<string> {
  const { items } = (await (await (await world.api()).get(`/api/v1/assets?kind=${kind}&limit=1`)).json()) as { items: { id: string }[] }
  return items[0]!.id
}

async function dialogOf(page: Page) {
  await page.goto('/assets/clusters')
  await settled(page)
  await page.getByRole('button', { name: 'Add a cluster' }).click()
  const dialog = page.getByRole('dialog')
  await dialog.getByRole('button', { name: 'Check' }).waitFor()
  return dialog
}

test('a kubeconfig is checked before the cluster is added, and its faults are told', async () => {
  const page = await world.page()
  const dialog = await dialogOf(page)
  await dialog.getByLabel('Name').fill('east')
  await dialog.getByRole('button', { name: 'Check' }).click()
  await dialog.getByText('Paste a kubeconfig, or choose a file').waitFor()
  await dialog.getByLabel('Kubeconfig', { exact: true }).last().fill('this is no kubeconfig')
  await dialog.getByRole('button', { name: 'Check' }).click()
  await dialog.getByRole('alert').filter({ hasText: /kubeconfig/i }).waitFor()
  await dialog.getByRole('alert').filter({ hasText: 'Request id' }).waitFor()
  expect(await dialog.getByRole('button', { name: /^Add/ }).count()).toBe(0)
  // An address of the server's own machine is refused, with the reason.
  await dialog.getByLabel('Kubeconfig', { exact: true }).last().fill(kubeconfig('https://127.0.0.1:1'))
  await dialog.getByRole('button', { name: 'Check' }).click()
  await dialog.getByRole('alert').filter({ hasText: '127.0.0.1' }).waitFor()
  await accessible(page)
  await page.keyboard.press('Escape')
  await page.waitForURL((url) => !url.searchParams.has('add'))
  const clusters = (await (await (await world.api()).get('/api/v1/clusters')).json()) as { items: { name: string }[] }
  expect(clusters.items.map((c) => c.name)).toEqual(['shop'])
  world.clean()
})

test('a connector gets a one-time token and waits; the cluster is renamed, and removed by its name', async () => {
  const page = await world.page()
  const dialog = await dialogOf(page)
  await dialog.getByText('Connector', { exact: true }).click()
  await page.waitForURL(/add=connector/)
  await dialog.getByLabel('Name').fill('north')
  await dialog.getByRole('button', { name: 'Next' }).click()
  await dialog.getByText(/The manifest creates \d+ objects/).click()
  await dialog.getByText('stockade-connector-identity').first().waitFor()
  await dialog.getByRole('button', { name: 'Make a one-time token' }).click()
  await dialog.getByText('The token is shown now and never again.').waitFor()
  await dialog.getByText('kind: Deployment').first().waitFor()
  await dialog.getByText('Waiting for the connector…').waitFor()
  await accessible(page)
  await page.keyboard.press('Escape')
  await page.getByRole('link', { name: 'north', exact: true }).click()
  await page.waitForURL(/\/clusters\/\d+$/)
  await settled(page)
  await page.getByText('This cluster was never looked at as a whole').waitFor()
  await page.getByRole('tab', { name: 'Connector' }).click()
  await page.waitForURL(/tab=connector/)
  await page.getByText('No connector has enrolled.').waitFor()
  await page.getByRole('button', { name: 'More' }).click()
  await page.getByRole('menuitem', { name: 'Rename' }).click()
  await page.getByRole('dialog').getByLabel('Name').fill('far north')
  await page.getByRole('dialog').getByRole('button', { name: 'Rename' }).click()
  await page.getByRole('heading', { level: 1, name: 'far north' }).waitFor()
  await page.getByRole('button', { name: 'More' }).click()
  await page.getByRole('menuitem', { name: 'Remove' }).click()
  const remove = page.getByRole('dialog')
  expect(await remove.getByRole('button', { name: 'Remove' }).isDisabled()).toBe(true)
  await remove.getByLabel('Type far north to remove it').fill('far north')
  await remove.getByRole('button', { name: 'Remove' }).click()
  await page.waitForURL(/\/assets\/clusters/)
  await settled(page)
  await expect.poll(() => page.getByRole('link', { name: 'far north' }).count()).toBe(0)
  world.clean()
})

test('a workload shows its images, its findings and how it is reached; lists keep their filters in the URL', async () => {
  const page = await world.page()
  await page.goto('/assets/workloads?q=web&risky=true')
  await settled(page)
  await page.getByRole('link', { name: 'web', exact: true }).first().click()
  await page.waitForURL(/\/assets\/workloads\/\d+$/)
  await settled(page)
  await page.getByRole('link', { name: 'registry.example.com/shop/web:latest' }).waitFor()
  await page.getByText('Ingress shop/web').waitFor()
  const label = await page.getByRole('link', { name: /^All open findings: / }).getAttribute('aria-label')
  const count = /[\d,]+$/.exec(label ?? '')![0]
  await page.getByRole('link', { name: 'All findings', exact: true }).click()
  await page.waitForURL(/view=findings.*asset=\d+/)
  await settled(page)
  await page.getByText(`${count} rows`).first().waitFor()
  await page.goBack()
  await page.goBack()
  await page.waitForURL(/q=web/)
  expect(new URL(page.url()).searchParams.get('risky')).toBe('true')
  await page.getByRole('searchbox', { name: 'Search workloads' }).waitFor()
  world.clean()
})

test('an auditor sees no actions, and the API refuses them', async () => {
  const page = await world.page('audrey')
  for (const path of ['/assets/clusters?add=kubeconfig', '/clusters/1']) {
    await page.goto(path)
    await settled(page)
    expect(await page.getByRole('button', { name: /Add a cluster|Scan now|Actions on|More/ }).count()).toBe(0)
    expect(await page.getByRole('dialog').count()).toBe(0)
  }
  const api = await world.api('audrey')
  expect((await api.post('/api/v1/clusters/demo')).status()).toBe(403)
  expect((await api.delete('/api/v1/clusters/1')).status()).toBe(403)
  world.clean()
})

test.each([
  { lang: 'en', width: 1280, dark: false },
  { lang: 'zh', width: 390, dark: true },
] as const)('axe finds nothing serious, and the page fits: $lang, $width pixels', async (look) => {
  const [workload, node, namespace] = [await first('workload'), await first('node'), await first('namespace')]
  const page = await world.page('root-of-all', look)
  for (const path of [
    '/assets/clusters',
    '/assets/clusters?add=kubeconfig',
    '/clusters/1',
    '/clusters/1?tab=gaps',
    '/clusters/1?tab=scans',
    '/assets/namespaces',
    `/assets/namespaces/${namespace}`,
    '/assets/workloads',
    `/assets/workloads/${workload}`,
    '/assets/nodes',
    `/assets/nodes/${node}`,
    '/gaps?code=skipped',
  ]) {
    await page.goto(path)
    await settled(page)
    await fits(page)
    await accessible(page)
  }
  world.clean()
}, 240_000)
