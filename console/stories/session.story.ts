// Signing in and out, the language, and a session that ends while somebody types.
import { afterAll, beforeAll, expect, test } from 'vitest'

import { accessible, settled, World } from './harness'

let world: World

beforeAll(async () => {
  world = await World.start({ demo: true })
  await world.addUser('ann', 'auditor')
})
afterAll(() => world?.stop())

test('a wrong password is told in words, the right one leads to where one wanted', async () => {
  const page = await world.page('')
  await page.goto('/risks?severity=critical')
  await page.waitForURL(/sign-in/)
  await page.getByLabel('User name').fill('ann')
  await page.getByLabel('Password', { exact: true }).fill('not this one')
  await page.getByRole('button', { name: 'Sign in' }).click()
  await page.getByRole('alert').getByText('The name or the password is wrong').waitFor()
  await page.getByLabel('Password', { exact: true }).fill('stories need a password')
  await page.getByRole('button', { name: 'Sign in' }).click()
  await page.waitForURL(/\/risks\?severity=critical/)
  await settled(page)
  await page.getByRole('button', { name: 'Account of ann' }).click()
  await page.getByText('Sign out').click()
  await page.waitForURL(/sign-in/)
  await page.goto('/')
  await page.waitForURL(/sign-in/)
  world.clean()
})

test('the language switches at once and stays', async () => {
  const page = await world.page('ann')
  await page.goto('/')
  await page.getByRole('heading', { level: 1, name: 'Overview' }).waitFor()
  const kept = page.waitForResponse((r) => r.request().method() === 'PATCH' && r.url().endsWith('/api/v1/session'))
  await page.getByRole('button', { name: '切换到中文' }).click()
  await page.getByRole('heading', { level: 1, name: '总览' }).waitFor()
  await kept
  expect(await page.locator('html').getAttribute('lang')).toBe('zh-CN')
  await page.reload()
  await page.getByRole('heading', { level: 1, name: '总览' }).waitFor()
  await page.getByRole('button', { name: 'English' }).click()
  await page.getByRole('heading', { level: 1, name: 'Overview' }).waitFor()
  world.clean()
})

test('an ended session asks for the password over the page, and nothing typed is lost', async () => {
  const page = await world.page('ann')
  await page.goto('/settings/profile')
  await settled(page)
  const box = page.getByLabel(/Display name/i).first()
  await box.fill('Ann of the audit')
  const api = await page.context().request.get('/api/v1/sessions')
  const { items } = (await api.json()) as { items: { id: string; current?: boolean }[] }
  for (const s of items) await page.context().request.delete(`/api/v1/sessions/${s.id}`)
  await page.getByRole('button', { name: /^Save/ }).first().click()
  const dialog = page.getByRole('dialog', { name: 'Your session ended' })
  await dialog.waitFor()
  await accessible(page)
  await dialog.getByLabel('Password', { exact: true }).fill('stories need a password')
  await dialog.getByRole('button', { name: 'Sign in' }).click()
  await dialog.waitFor({ state: 'hidden' })
  expect(await box.inputValue()).toBe('Ann of the audit')
  await expect.poll(async () => ((await (await page.context().request.get('/api/v1/session')).json()) as { user: { displayName?: string } }).user.displayName).toBe('Ann of the audit')
  world.clean()
})
