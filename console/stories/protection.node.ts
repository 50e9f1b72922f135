// An operator protects a cluster in which containers run, from the first click to the last: plan, consent, a policy with its preview,
// a Deployment that is refused and mended, the event, the health, a self-test, and the end. e2e/protect runs this and gives what it
// needs by the environment; what only a client of the cluster can do is asked of it by HTTP.
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Page } from 'playwright-core'

import { accessible, fits, password, settled, shot, World } from './harness'

type Given = {
  url: string // of the server, as the browser reaches it
  inside: string // the same, as pods reach it
  name: string
  password: string // of the administrator
  hand: string // does what a client of the cluster does
  cluster: string
  id: string // of the cluster
  provider: string // the provider's image
  vulnerable: string
  fixed: string
  weakness: string // a CVE that only the vulnerable image has
}

const given = JSON.parse(process.env.STOCKADE_STORY ?? '{}') as Given
let world: World
let page: Page

beforeAll(async () => {
  world = await World.join(given.url, given.name, given.password)
  await world.addUser('olga', 'operator')
})
afterAll(() => world?.stop())

// apply applies a Deployment, as its owner does; the answer is the refusal, or nothing.
async function apply(name: string, image: string): Promise<string> {
  const answer = await fetch(`${given.hand}/apply`, { method: 'POST', body: JSON.stringify({ name, image }) })
  if (!answer.ok) throw new Error(await answer.text())
  return ((await answer.json()) as { refusal: string }).refusal
}

// seen takes a picture and holds the page to what every page is held to.
const seen = async (name: string) => {
  await settled(page)
  await shot(page, `node-${name}`)
  await fits(page)
  await accessible(page)
  world.clean()
}

test('the operator signs in, reads the plan, consents, and the cluster is protected', async () => {
  page = await world.page('', { keep: true })
  await page.goto('/protection/clusters')
  await page.waitForURL(/sign-in/)
  await page.getByLabel('User name').fill('olga')
  await page.getByLabel('Password', { exact: true }).fill(password)
  await page.getByRole('button', { name: 'Sign in' }).click()
  await page.waitForURL(/\/protection\/clusters/)
  await page.getByRole('cell', { name: 'Not protected' }).waitFor()
  await page.getByRole('button', { name: `Enable the protection of ${given.cluster}` }).click()
  const dialog = page.getByRole('dialog')
  await dialog.getByText('The cluster can be protected').waitFor()
  await dialog.getByText('linux/amd64 (1)').or(dialog.getByText('linux/arm64 (1)')).waitFor()
  await dialog.getByRole('tab', { name: 'Settings' }).click()
  await dialog.getByRole('group', { name: 'Provider' }).getByLabel('Image').fill(given.provider)
  await dialog.getByLabel('Address of this server for the cluster').fill(given.inside)
  await dialog.getByRole('tab', { name: 'What it takes' }).click()
  await dialog.getByText(given.provider).first().waitFor()
  await dialog.getByText(/\d\d objects would be created/).first().waitFor()
  await dialog.locator('summary').filter({ hasText: /^Deployment \(1\)/ }).click() // Gatekeeper has two
  await dialog.locator('summary').filter({ hasText: /^stockade-protect\/stockade-provider$/ }).and(dialog.locator(':visible')).last().click()
  await dialog.getByText('runAsNonRoot: true').first().waitFor() // the plan has the objects themselves
  await seen('plan')
  const enable = dialog.getByRole('button', { name: 'Enable', exact: true })
  expect(await enable.isDisabled()).toBe(true)
  await dialog.getByRole('checkbox', { name: /^I consent to \d+ objects being created in/ }).check()
  await enable.click()
  await dialog.getByText('The cluster is protected').waitFor({ timeout: 200_000 })
  await seen('enabled')
  await dialog.getByRole('link', { name: 'Make the first policy' }).click()
  await page.waitForURL(/\/protection\/policies\/new/)
})

test('a policy is made in the wizard, with what it would hit in view all the while', async () => {
  const pane = page.getByRole('complementary', { name: 'Preview' })
  const step = (name: string) => page.getByRole('navigation', { name: 'Steps' }).getByRole('button', { name: new RegExp(name) }).click()
  await page.getByLabel('Name', { exact: true }).fill('Nothing weak, nothing privileged')
  await page.getByRole('radio', { name: /^Block/ }).check()
  await pane.getByText('Choose a rule or a condition to see what it would find.').waitFor()
  await step('Rules')
  await page.getByLabel('Search in rules').fill('privileged container')
  await page.getByRole('checkbox', { name: /rivileged container/ }).first().check()
  await pane.getByText(/^Looked at [\d,]+ objects? of 1 cluster/).waitFor()
  await step('Images')
  await page.getByRole('button', { name: 'Add a condition' }).click()
  await page.getByRole('menuitem', { name: 'Known vulnerabilities' }).click()
  await page.getByRole('combobox', { name: 'At or above' }).click()
  await page.locator('.ant-select-item-option').filter({ hasText: 'Critical' }).click()
  await page.getByLabel('These CVEs always').fill(`${given.weakness},`)
  // What runs already with the weakness is there: the Deployment that somebody made before.
  await pane.getByText('What users would see').waitFor({ timeout: 90_000 })
  await pane.getByText(given.weakness).first().waitFor()
  await pane.getByText(/object violates it|objects violate it/).first().waitFor()
  await page.getByRole('radio', { name: 'Refuse', exact: true }).check()
  await seen('wizard')
  await page.getByRole('button', { name: 'Save', exact: true }).click()
  await page.waitForURL(/\/protection\/policies\/\d+$/)
  await page.getByRole('heading', { level: 1, name: 'Nothing weak, nothing privileged' }).waitFor()
  await seen('policy')
  await page.goto('/protection/clusters')
  await page.getByRole('cell', { name: 'Protected', exact: true }).waitFor({ timeout: 60_000 })
  await seen('clusters')
})

test('the vulnerable image is refused with words that help, the fixed one is let in', async () => {
  let refusal = ''
  await expect.poll(async () => (refusal = await apply('web', given.vulnerable)), { timeout: 60_000, interval: 500 }).toContain(given.weakness)
  expect(refusal).toContain('Nothing weak, nothing privileged')
  expect(refusal).toContain(`${given.inside}/protection/why?`)
  await expect.poll(() => apply('web', given.fixed), { timeout: 60_000, interval: 500 }).toBe('')
  // The refusal's link leads to a page that says what it is about.
  const link = /https:\/\/\S+(\/protection\/why\?\S+)/.exec(refusal)![1]!
  await page.goto(link)
  await page.getByRole('heading', { name: 'The rule' }).waitFor()
  await page.getByRole('link', { name: 'Nothing weak, nothing privileged' }).first().waitFor()
  await seen('why')
})

test('the event has the object with the faulty place marked, and is handled', async () => {
  await page.goto('/protection/events?kind=blocked')
  await settled(page)
  const row = page.getByRole('row').filter({ hasText: 'shop/web' }).filter({ hasText: 'Image with vulnerabilities' }).first()
  await row.waitFor({ timeout: 60_000 })
  await seen('events')
  await row.getByRole('link').first().click()
  await page.waitForURL(/\/protection\/events\/\d+/)
  await settled(page)
  await page.getByText(given.weakness).first().waitFor()
  await page.getByText('spec.template.spec.containers[0].image').first().waitFor()
  await page.getByLabel('marked', { exact: true }).first().waitFor()
  await seen('event')
  await page.getByRole('button', { name: 'Mark as handled' }).click()
  const dialog = page.getByRole('dialog')
  await dialog.getByLabel('Note (optional)').fill('1.1 has the fix')
  await dialog.getByRole('button', { name: 'Mark them' }).click()
  await page.getByText('1 event marked as handled').waitFor()
  await page.getByText('olga:').waitFor()
  await page.goto('/protection/events?kind=blocked&state=handled')
  await page.getByRole('row').filter({ hasText: 'shop/web' }).first().waitFor()
  world.clean()
})

test('the health says that it works, and a bad pod proves it', async () => {
  await page.goto(`/protection/health?cluster=${given.id}`)
  await settled(page)
  await page.getByRole('cell', { name: /validation\.gatekeeper\.sh/ }).first().waitFor()
  await page.getByRole('cell', { name: /recorder\.stockade\.dev/ }).first().waitFor()
  await page.getByText('p99').first().waitFor()
  await page.getByRole('cell', { name: "Provider's link to the server" }).waitFor()
  await page.getByLabel('Namespace').fill('shop')
  await page.getByRole('button', { name: 'Send the bad pod' }).click()
  await page.getByText(/^Refused by a policy in [\d.,]+ ms/).waitFor()
  await page.getByText('[STK-').first().waitFor()
  await seen('health')
  await page.goto(`/protection/clusters/${given.id}?tab=bypasses`)
  await page.getByRole('cell', { name: 'kube-system' }).first().waitFor()
  await seen('bypasses')
  await page.goto('/protection/unchecked')
  await page.getByRole('heading', { level: 1, name: 'Unchecked admissions' }).waitFor()
  await seen('unchecked')
})

test('the protection is ended, and nothing checks any more', async () => {
  await page.goto(`/protection/clusters/${given.id}`)
  await settled(page)
  await page.getByRole('button', { name: 'Disable', exact: true }).click()
  const dialog = page.getByRole('dialog')
  await dialog.getByText('What enters the cluster is not checked any more').waitFor()
  await dialog.getByRole('button', { name: 'Disable', exact: true }).click()
  await dialog.getByText('The protection ended, and nothing is left behind').waitFor({ timeout: 200_000 })
  await dialog.getByRole('button', { name: 'Close', exact: true }).last().click()
  await page.getByText('Nothing is checked').first().waitFor()
  expect(await apply('web', given.vulnerable)).toBe('')
  await seen('ended')
})
