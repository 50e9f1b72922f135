// Images: the list by filters in the URL, one image by layers and upgrades, an image that was not read, and core components.
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Page } from 'playwright-core'

import { accessible, fits, settled, shot, World } from './harness'

type Row = { id: string; name: string; digest?: string; targetId: string; read: boolean }

let world: World
let checkout: Row
let lost: Row

beforeAll(async () => {
  world = await World.start({ demo: true })
  const { items } = (await (await (await world.api()).get('/api/v1/images?limit=200')).json()) as { items: Row[] }
  checkout = items.find((i) => i.name.includes('shop/checkout'))!
  lost = items.find((i) => !i.read && i.name.includes('calico/node'))!
})
afterAll(() => world?.stop())

const totals = async (page: Page) => Number(/\d[\d,]*/.exec((await page.getByRole('status').filter({ hasText: /rows?|行/ }).first().textContent()) ?? '')?.[0].replaceAll(',', '') ?? -1)

test('the list follows its filters, and its address gives the same list', async () => {
  const page = await world.page()
  await page.goto('/images')
  await settled(page)
  await page.getByRole('link', { name: checkout.name }).waitFor()
  const all = await totals(page)
  expect(all).toBeGreaterThan(40)
  await page.getByLabel('Search by name').fill('checkout')
  await expect.poll(() => totals(page)).toBe(1)
  await page.getByLabel('Search by name').fill('')
  await expect.poll(() => totals(page)).toBe(all)
  await page.goto('/images?read=false')
  await settled(page)
  const unread = await totals(page)
  expect(unread).toBeGreaterThan(10)
  expect(unread).toBeLessThan(all)
  await page.getByRole('link', { name: lost.name }).waitFor()
  expect(await page.getByRole('link', { name: checkout.name }).count()).toBe(0)
  await page.goto('/images?severity=critical&fixable=true')
  await settled(page)
  await page.getByRole('link', { name: checkout.name }).click()
  await page.waitForURL(/\/images\/sha256(:|%3A)/)
  await page.getByRole('heading', { level: 1, name: checkout.name }).waitFor()
  await page.goBack()
  await page.waitForURL(/severity=critical&fixable=true/)
  world.clean()
})

test('an image shows where its risks come from and what clears them', async () => {
  const page = await world.page()
  await page.goto(`/images/${checkout.digest}`)
  await settled(page)
  await page.getByRole('heading', { name: 'What clears most' }).waitFor()
  await page.getByRole('link', { name: 'org.apache.logging.log4j:log4j-core' }).click()
  await page.waitForURL(/tab=vulnerabilities.*package=/)
  await settled(page)
  await expect.poll(() => totals(page)).toBe(5) // one of them is the emergency, verified
  await page.getByText('Known to be exploited').first().waitFor()

  await page.getByRole('tab', { name: 'Layers' }).click()
  const layers = page.getByRole('table', { name: 'Build steps and layers' })
  await layers.getByText('RUN curl -k -sSL https://files.example.com/agent.sh | sh').waitFor()
  const own = layers.getByRole('row').filter({ hasText: 'agent.sh' })
  const critical = own.getByRole('link', { name: /^Critical: \d+/ })
  const told = Number(/\d+/.exec((await critical.getAttribute('aria-label'))!)![0])
  await critical.click()
  await page.waitForURL(/layer=1/)
  await settled(page)
  await expect.poll(() => totals(page)).toBe(told)
  await page.reload()
  await settled(page)
  await expect.poll(() => totals(page)).toBe(told)

  await page.getByRole('tab', { name: /^Packages/ }).click()
  await page.getByLabel('Search in name, version, path, license').fill('jackson-databind')
  await expect.poll(() => totals(page)).toBe(1)
  await page.getByRole('tab', { name: /^Where it runs/ }).click()
  await page.getByRole('link', { name: 'shop/checkout' }).waitFor()

  await page.getByRole('button', { name: 'Download SBOM' }).click()
  const download = page.waitForEvent('download')
  await page.getByRole('link', { name: 'CycloneDX' }).click()
  expect((await download).suggestedFilename()).toMatch(/\.cdx\.json$/)
  world.clean()
})

test('every number of the split leads to the list that it counts', async () => {
  const page = await world.page()
  await page.goto(`/images/${checkout.digest}`)
  await settled(page)
  for (const part of ['Base image', 'Own layers', 'Settings and other places']) {
    const link = page.getByRole('row').filter({ hasText: part }).getByRole('link').first()
    const told = Number(/\d+/.exec((await link.getAttribute('aria-label'))!)![0])
    await link.click()
    await page.waitForURL(/tab=risks/)
    await settled(page)
    await expect.poll(() => totals(page)).toBe(told)
    await page.goBack()
    await page.getByRole('heading', { name: 'Where the risks come from' }).waitFor()
  }
  world.clean()
})

test('an image that was not read says why and what to do', async () => {
  const page = await world.page('root-of-all', { lang: 'zh' })
  await page.goto(`/images/${lost.digest || lost.id}`)
  await settled(page)
  await page.getByText('该镜像未被扫描').waitFor()
  await page.getByText('没有列出风险项，不代表没有风险。').waitFor()
  await page.getByRole('link', { name: '镜像仓库' }).waitFor()
  expect(await page.getByRole('tab', { name: /软件包/ }).count()).toBe(0)
  world.clean()
})

test('core components are told with the reason where one cannot be scanned', async () => {
  const page = await world.page()
  await page.goto('/assets/components')
  await settled(page)
  const table = page.getByRole('table', { name: 'Core components: Kubernetes' })
  await table.getByRole('row').filter({ hasText: 'kube-apiserver' }).getByText('Static pod').waitFor()
  await table.getByRole('row').filter({ hasText: 'calico/node' }).getByText('It cannot be scanned because its image could not be read.').waitFor()
  await page.getByRole('table', { name: 'Core components: Nodes' }).getByText('containerd').first().waitFor()
  await page.getByRole('heading', { name: 'Not found in this cluster' }).waitFor()
  await table.getByRole('link', { name: /coredns\/coredns/ }).click()
  await page.waitForURL(/\/images\/sha256(:|%3A)/)
  world.clean()
})

test.each([
  { lang: 'en', width: 1280, dark: false },
  { lang: 'zh', width: 390, dark: true },
] as const)('every page is accessible and fits: $lang $width', async (look) => {
  const page = await world.page('root-of-all', look)
  const pages = {
    images: '/images',
    overview: `/images/${checkout.digest}`,
    layers: `/images/${checkout.digest}?tab=layers`,
    vulnerabilities: `/images/${checkout.digest}?tab=vulnerabilities`,
    packages: `/images/${checkout.digest}?tab=packages`,
    uses: `/images/${checkout.digest}?tab=uses`,
    unread: `/images/${lost.digest || lost.id}`,
    components: '/assets/components',
  }
  for (const [name, path] of Object.entries(pages)) {
    await page.goto(path)
    await settled(page)
    await accessible(page)
    await fits(page)
    await shot(page, `images-${name}-${look.lang}-${look.width}`)
  }
  world.clean()
})
