// The overview: an empty installation leads to the demo cluster, and every number on it is that of the list it links to.
import { afterAll, beforeAll, expect, test } from 'vitest'

import { accessible, fits, settled, World } from './harness'

let world: World

beforeAll(async () => {
  world = await World.start()
  await world.setUp()
})
afterAll(() => world?.stop())

type Total = { total?: number; totalIsAtLeast?: boolean; items: unknown[] }

async function ask(path: string): Promise<Total> {
  const answer = await (await world.api()).get(path)
  expect(answer.status(), `${path}: ${await answer.text()}`).toBe(200)
  return (await answer.json()) as Total
}

// held asks for the list behind every number of a page and compares.
async function held(links: { href: string; text: string }[]): Promise<number> {
  let compared = 0
  for (const { href, text } of links) {
    const url = new URL(href, world.url)
    const number = Number(/(?<![\w.-])\d[\d,]*(?![\w.-])/.exec(text)?.[0].replaceAll(',', '')) // and not what Log4Shell has
    if (!Number.isFinite(number)) continue
    if (url.pathname === '/risks' && url.searchParams.get('view') === 'findings') {
      url.searchParams.delete('view')
      const list = await ask(`/api/v1/findings?${url.searchParams}&limit=1`)
      if (list.totalIsAtLeast) continue
      expect(list.total, `${href} says ${text}`).toBe(number)
    } else if (url.pathname === '/gaps') {
      const list = await ask(`/api/v1/gaps?${url.searchParams}&limit=500`)
      expect(list.items.length, `${href} says ${text}`).toBe(number)
    } else continue
    compared++
  }
  return compared
}

const numbersOf = () =>
  [...document.querySelectorAll<HTMLAnchorElement>('main td a, main dd a, main li > a')]
    .map((a) => ({ href: a.getAttribute('href') ?? '', text: ((a.closest('ol') ? a.nextElementSibling?.textContent : a.getAttribute('aria-label')?.match(/: ([\d,]+)$/)?.[1]) ?? a.textContent ?? '').trim() }))
    .filter((a) => /\d/.test(a.text))

test('an empty installation says what to do first, and the demo is one click', async () => {
  const page = await world.page()
  await page.goto('/')
  await settled(page)
  await page.getByRole('heading', { name: 'Take the demo cluster' }).waitFor()
  await page.getByRole('link', { name: 'Add a cluster' }).waitFor()
  await page.getByRole('link', { name: 'Upload files' }).waitFor()
  await page.getByRole('link', { name: 'Add data' }).waitFor()
  await fits(page)
  await accessible(page)
  await page.getByRole('button', { name: 'Add the demo' }).click()
  await page.waitForURL(/\/tasks\/\d+$/)
  await world.scanned()
  // A second call answers the cluster that is there.
  const again = await (await world.api()).post('/api/v1/clusters/demo')
  expect(((await again.json()) as { taskId?: string }).taskId).toBeUndefined()
  await page.goto('/')
  await settled(page)
  await page.getByRole('img', { name: /^Score \d+ of 100/ }).waitFor()
  await page.getByRole('heading', { name: 'Workloads at most risk' }).waitFor()
  world.clean()
})

test('every number is that of the list that it links to, for everything and for one namespace', async () => {
  const page = await world.page()
  for (const path of ['/', '/?target=1', '/?target=1&namespace=shop']) {
    await page.goto(path)
    await settled(page)
    await page.getByRole('region', { name: 'Open findings by kind and severity' }).first().waitFor()
    const compared = await held(await page.evaluate(numbersOf))
    expect(compared, path).toBeGreaterThan(20)
  }
  // By clicking: the worst cell of the table opens the list with as many rows.
  await page.goto('/')
  await settled(page)
  const cell = page.getByRole('link', { name: /^Excessive permissions, Critical: \d+$/ })
  const count = Number(/\d+$/.exec((await cell.getAttribute('aria-label')) ?? '')?.[0])
  await cell.click()
  await page.waitForURL(/view=findings.*kind=permission/)
  await settled(page)
  await page.getByText(`${count} rows`).first().waitFor()
  world.clean()
})

test('the scope of the bar is that of the page, and back goes back', async () => {
  const page = await world.page()
  await page.goto('/')
  await settled(page)
  const all = (await page.getByRole('link', { name: /^All open findings: / }).getAttribute('aria-label')) ?? ''
  await page.goto('/?target=1&namespace=payments')
  await settled(page)
  await page.getByText('The trend is kept for whole clusters', { exact: false }).waitFor()
  const part = (await page.getByRole('link', { name: /^All open findings: / }).getAttribute('aria-label')) ?? ''
  expect(part).not.toBe(all)
  await page.goBack()
  await expect.poll(async () => page.getByRole('link', { name: /^All open findings: / }).getAttribute('aria-label')).toBe(all)
  world.clean()
})

test.each(['en', 'zh'] as const)('axe finds nothing serious, and 390 pixels are enough: %s', async (lang) => {
  for (const look of [{ width: 1280 }, { width: 390, dark: true }]) {
    const page = await world.page('root-of-all', { lang, ...look })
    await page.goto('/')
    await settled(page)
    await fits(page)
    await accessible(page)
  }
  world.clean()
})
