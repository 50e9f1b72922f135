// A newcomer: from the link that the server prints to the riskiest finding of the demo and its fix, by clicking.
import { afterAll, beforeAll, expect, test } from 'vitest'

import { accessible, settled, World } from './harness'

let world: World

beforeAll(async () => {
  world = await World.start()
})
afterAll(() => world?.stop())

test('from nothing to the riskiest finding and its fix', async () => {
  const page = await world.page('')
  await page.goto(`/setup#token=${world.setupToken}`)
  await page.getByRole('heading', { level: 1, name: 'Set up Stockade' }).waitFor()
  expect(page.url(), 'the one-time token leaves the address').not.toContain(world.setupToken)
  await page.getByLabel('User name').fill('root-of-all')
  await page.getByLabel('Password', { exact: true }).fill('too short')
  await page.getByLabel('Repeat the password').fill('not the same')
  await page.getByRole('button', { name: 'Create the account' }).click()
  await page.getByText('The two passwords are not the same.').waitFor()
  await page.getByLabel('Password', { exact: true }).fill('stories need a password')
  await page.getByLabel('Repeat the password').fill('stories need a password')
  await page.getByRole('button', { name: 'Create the account' }).click()

  // The empty overview says what to do; the demo is one click.
  await page.getByRole('heading', { level: 1, name: 'Overview' }).waitFor()
  await settled(page)
  await accessible(page)
  await page.getByRole('button', { name: /demo/i }).first().click()
  await world.scanned()
  await page.goto('/')
  await page.getByRole('link', { name: /critical findings/ }).click()
  await page.waitForURL(/\/risks\?.*severity=critical/)
  await page.locator('main tbody tr[data-index="0"]').click()
  await page.getByRole('heading', { name: 'Evidence' }).waitFor()
  const fix = page.getByRole('heading', { name: 'What to do' })
  await fix.scrollIntoViewIfNeeded()
  await fix.waitFor()
  await settled(page)
  expect(await page.getByText(/Known to be exploited/).count(), 'the riskiest finding is one that is exploited').toBeGreaterThan(0)
  world.clean()
})

test('the link works once', async () => {
  const page = await world.page('')
  await page.goto(`/setup#token=${world.setupToken}`)
  await page.getByLabel('User name').fill('eve')
  await page.getByLabel('Password', { exact: true }).fill('stories need a password')
  await page.getByLabel('Repeat the password').fill('stories need a password')
  await page.getByRole('button', { name: 'Create the account' }).click()
  await page.getByRole('alert').getByText('The link is not valid').waitFor()
  world.clean()
})
