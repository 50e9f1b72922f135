// Exceptions: asked for from a finding with the effect shown, not approved by who asked, approved by somebody else.
import { afterAll, beforeAll, expect, test } from 'vitest'

import { accessible, fits, settled, World } from './harness'

let world: World
let finding: { id: string; title: string; rule: string }

beforeAll(async () => {
  world = await World.start({ demo: true })
  await world.addUser('april', 'approver')
  await world.addUser('bela', 'approver')
  const { items } = (await (await (await world.api()).get('/api/v1/findings?rule=workload/privileged-container&limit=1')).json()) as { items: (typeof finding)[] }
  finding = items[0]!
})
afterAll(() => world?.stop())

test('an exception is asked for with its effect, refused to its asker and approved by another', async () => {
  const asker = await world.page('april')
  await asker.goto(`/findings/${finding.id}`)
  await settled(asker)
  await asker.getByRole('button', { name: 'Ask for an exception' }).click()
  const dialog = asker.getByRole('dialog')
  await dialog.getByText('Accepts 1 active finding now').waitFor()
  await dialog.getByRole('radio', { name: /everywhere in/ }).check()
  await dialog.getByText(/Accepts \d+ active findings now/).waitFor()
  await dialog.getByRole('radio', { name: 'Only this finding' }).check()
  await dialog.getByText('Accepts 1 active finding now').waitFor()
  await dialog.getByRole('spinbutton', { name: 'Days' }).fill('14')
  await dialog.getByLabel('Reason').fill('the node agent needs it; replaced next month')
  await dialog.getByRole('button', { name: 'Ask', exact: true }).click()
  await asker.getByText('The exception was asked for').waitFor()

  await asker.goto('/exceptions')
  await settled(asker)
  await asker.getByRole('link', { name: /Pending\s+1/ }).waitFor()
  await asker.getByText('the node agent needs it').waitFor()
  await asker.getByRole('row').nth(1).getByRole('link').first().click()
  await asker.waitForURL(/\/exceptions\/\d+$/)
  const id = /\d+$/.exec(asker.url())![0]
  await asker.getByText('You asked for it: somebody else has to approve it.').waitFor()
  expect(await asker.getByRole('button', { name: 'Approve' }).count()).toBe(0)
  const refused = await (await world.api('april')).post(`/api/v1/exceptions/${id}/approve`, { data: { revision: 1 } })
  expect(refused.status()).toBe(403)

  const other = await world.page('bela')
  await other.goto(`/exceptions/${id}`)
  await settled(other)
  await other.getByText('Accepts 1 active finding now').waitFor()
  await other.getByLabel('Note (optional)').fill('fine until then')
  await other.getByRole('button', { name: 'Approve' }).click()
  await other.getByText('fine until then').first().waitFor()
  await other.getByText('Approved', { exact: true }).first().waitFor()
  await expect.poll(async () => ((await (await (await world.api()).get(`/api/v1/findings/${finding.id}`)).json()) as { status: string }).status, { timeout: 20_000 }).toBe('accepted')
  await other.goto(`/findings/${finding.id}`)
  await settled(other)
  await other.getByText('the node agent needs it; replaced next month').first().waitFor()
  await other.getByRole('link', { name: 'To the exception' }).click()
  await other.waitForURL(`**/exceptions/${id}`)
  await other.getByRole('link', { name: '1 finding is accepted by it' }).click()
  await other.waitForURL(/exception=\d+/)
  await settled(other)
  await other.getByText('1 row', { exact: true }).waitFor()
  world.clean()
})

test.each(['en', 'zh'] as const)('axe finds nothing serious, and 390 pixels are enough: %s', async (lang) => {
  for (const width of [1280, 390]) {
    const page = await world.page('bela', { lang, width })
    for (const path of ['/exceptions?tab=all', '/exceptions/1', '/exceptions?tab=denied']) {
      await page.goto(path)
      await settled(page)
      await fits(page)
      await accessible(page)
    }
    await page.goto(`/exceptions?tab=all`)
    await settled(page)
    await page.getByRole('button', { name: lang === 'zh' ? '申请例外' : 'Ask for an exception' }).click()
    await page.getByRole('dialog').waitFor()
    await accessible(page)
  }
  world.clean()
})
