// Risks: one filter in the URL for three views, a finding with its fix, many findings handled at once, all of it by keyboard too.
import { afterAll, beforeAll, expect, test } from 'vitest'

import { accessible, fits, settled, World } from './harness'

let world: World

beforeAll(async () => {
  world = await World.start({ demo: true })
})
afterAll(() => world?.stop())

type Total = { total: number; items: { id: string; title: string }[] }

async function total(query: string): Promise<Total> {
  return (await (await (await world.api()).get(`/api/v1/findings?limit=1&${query}`)).json()) as Total
}

test('a filter that is clicked stands in the URL, holds after a reload and in every view, and is taken away by its chip', async () => {
  const page = await world.page()
  await page.goto('/risks')
  await settled(page)
  await page.getByText('Findings', { exact: true }).first().click()
  await page.waitForURL(/view=findings/)
  await page.getByRole('checkbox', { name: /^Critical/ }).first().click()
  await page.waitForURL(/severity=critical/)
  const critical = (await total('severity=critical')).total
  await page.getByText(`${critical} rows`).waitFor()
  await page.reload()
  await settled(page)
  await page.getByText(`${critical} rows`).waitFor()
  expect(await page.getByRole('checkbox', { name: /^Critical/ }).first().isChecked()).toBe(true)
  await page.getByText('By asset', { exact: true }).click()
  await page.waitForURL((u) => u.searchParams.get('view') === 'assets' && u.searchParams.get('severity') === 'critical')
  await settled(page)
  const web = page.getByRole('row').filter({ has: page.getByRole('link', { name: 'web', exact: true }) })
  await web.getByRole('link', { name: /^Critical: / }).click() // a number is a link to what it counts
  await page.waitForURL(/asset=\d+/)
  await settled(page)
  await page.getByRole('button', { name: 'Remove Severity: Critical' }).click()
  await page.waitForURL((u) => !u.searchParams.has('severity') && u.searchParams.has('asset'))
  await page.goBack()
  await page.waitForURL(/severity=critical/)
  world.clean()
})

test('the riskiest finding is opened from the list, with its evidence and its fix', async () => {
  const page = await world.page()
  await page.goto('/risks?view=findings')
  await settled(page)
  const [first] = (await total('sort=-priority')).items
  await page.getByRole('row').nth(1).getByRole('cell').nth(2).click()
  await page.waitForURL(/open=\d+/)
  const slide = page.getByRole('dialog')
  await slide.getByRole('heading', { name: first!.title }).waitFor()
  await slide.getByRole('heading', { name: 'Evidence' }).waitFor()
  await slide.getByRole('heading', { name: 'What to do' }).waitFor()
  await slide.getByRole('region').first().waitFor()
  await slide.getByText(/^Priority/).first().waitFor()
  await slide.getByRole('link', { name: 'Full page' }).click()
  await page.waitForURL(/\/findings\/\d+$/)
  await page.getByRole('heading', { level: 1, name: first!.title }).waitFor()
  world.clean()
})

test('all that a filter selects is ignored at once, with the effect shown before, and taken back', async () => {
  const page = await world.page()
  const info = (await total('severity=info')).total
  expect(info).toBeGreaterThan(100) // more than a page
  await page.goto('/risks?view=findings&severity=info')
  await page.getByText(`${info} rows`).waitFor()
  await settled(page)
  await page.getByRole('checkbox', { name: 'Select all loaded rows' }).check()
  await page.getByRole('button', { name: `Select all ${info} that match` }).click()
  await page.getByText(`${info} findings selected`).waitFor()
  await page.getByRole('region', { name: 'Selected findings' }).getByRole('button', { name: 'Ignore', exact: true }).click()
  const dialog = page.getByRole('dialog')
  await dialog.getByText(`${info} of ${info} change`).waitFor()
  expect((await total('severity=info')).total).toBe(info) // only shown so far
  await dialog.getByLabel('Reason').fill('told by the story')
  await dialog.getByRole('button', { name: 'Ignore them' }).click()
  await page.getByText(`${info} findings ignored`).waitFor()
  await page.getByText('No finding meets these filters').waitFor()
  expect((await total('severity=info&status=ignored')).total).toBe(info)
  await page.getByRole('button', { name: 'Undo' }).click()
  await page.getByText(`${info} rows`).waitFor()
  expect((await total('severity=info')).total).toBe(info)
  world.clean()
})

test('the keyboard alone filters, selects, opens, goes on and closes', async () => {
  const page = await world.page()
  await page.goto('/risks?view=findings&severity=critical')
  await settled(page)
  const until = async (what: string, arrived: () => boolean) => {
    for (let i = 0; i < 120; i++) {
      await page.keyboard.press('Tab')
      if (await page.evaluate(arrived)) return
    }
    throw new Error(`Tab does not reach ${what}`)
  }
  await page.keyboard.press('?')
  await page.getByRole('dialog', { name: 'Keys' }).waitFor()
  await page.keyboard.press('Escape')
  await page.getByRole('dialog', { name: 'Keys' }).waitFor({ state: 'hidden' })
  await until('a row', () => document.activeElement?.tagName === 'TR')
  await page.keyboard.press('x')
  await page.getByText('1 finding selected').waitFor()
  await page.keyboard.press('j')
  await page.keyboard.press('x')
  await page.getByText('2 findings selected').waitFor()
  await page.keyboard.press('Enter')
  await page.waitForURL(/open=\d+/)
  const slide = page.getByRole('dialog')
  await slide.getByRole('heading', { level: 2 }).waitFor()
  const before = new URL(page.url()).searchParams.get('open')
  await page.keyboard.press('j')
  await page.waitForURL((u) => u.searchParams.has('open') && u.searchParams.get('open') !== before)
  await page.keyboard.press('k')
  await page.waitForURL((u) => u.searchParams.get('open') === before)
  await page.keyboard.press('Escape')
  await page.waitForURL((u) => !u.searchParams.has('open'))
  world.clean()
})

test('a view is saved under a name, and the page opens with it', async () => {
  const page = await world.page()
  await page.goto('/risks?view=findings&kind=secret')
  await settled(page)
  await page.getByRole('button', { name: 'Saved views' }).click()
  await page.getByLabel('Name of the view').fill('Secrets')
  const kept = page.waitForResponse((r) => r.url().includes('/preferences/') && r.request().method() === 'PUT')
  await page.getByRole('button', { name: 'Save', exact: true }).click()
  expect((await kept).ok()).toBe(true)
  const first = page.waitForResponse((r) => r.url().includes('/preferences/') && r.request().method() === 'PUT')
  await page.getByRole('button', { name: 'Open this page with Secrets' }).click()
  await first
  await page.goto('/risks')
  await page.waitForURL(/kind=secret/)
  await page.getByRole('button', { name: 'Secrets' }).waitFor()
  await (await world.api()).delete('/api/v1/session/preferences/views.risks')
  world.clean()
})

test.each(['en', 'zh'] as const)('axe finds nothing serious, and 390 pixels are enough: %s', async (lang) => {
  const { items } = await total('kind=configuration')
  for (const width of [1280, 390]) {
    const page = await world.page('root-of-all', { lang, width })
    for (const path of ['/risks', '/risks?view=findings&severity=critical', `/risks?view=findings&open=${items[0]!.id}`, '/risks?view=assets&by=image', `/findings/${items[0]!.id}`, '/risks?view=findings&q=nothingatall']) {
      await page.goto(path)
      await settled(page)
      await fits(page)
      await accessible(page)
    }
  }
  world.clean()
})
