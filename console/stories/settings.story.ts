// Settings and integrations: a channel is tested against a receiver, a registry is tried, a user gets a role and a link, a token is
// made and used, the audit log tells what happened, a new advisory database is dropped in.
import { execFileSync } from 'node:child_process'
import { generateKeyPairSync } from 'node:crypto'
import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { request, type Page } from 'playwright-core'
import { afterAll, beforeAll, expect, test } from 'vitest'

import { accessible, everywhere, settled, World } from './harness'

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url))

let world: World
let receiver: Server
let port = 0
const received: { path: string; body: string }[] = []
const folder = mkdtempSync(join(tmpdir(), 'stockade-settings-'))
const file = join(folder, 'new.tar')

beforeAll(async () => {
  // A database of the story's own, and the same one signed, as somebody would carry it in.
  cpSync(here('../../bin/db'), join(folder, 'db'), { recursive: true, dereference: true })
  cpSync(here('../../bin/db'), join(folder, 'signed'), { recursive: true, dereference: true })
  const { privateKey } = generateKeyPairSync('ed25519')
  writeFileSync(join(folder, 'key.pem'), privateKey.export({ type: 'pkcs8', format: 'pem' }))
  execFileSync(here('../../bin/stockade'), ['db', 'push', `oci-archive:${file}`, '--db', join(folder, 'signed'), '--key', join(folder, 'key.pem')])
  receiver = createServer((req, res) => {
    let body = ''
    req.on('data', (data: Buffer) => (body += data.toString()))
    req.on('end', () => {
      if (req.url === '/v2/') res.setHeader('Docker-Distribution-Api-Version', 'registry/2.0')
      else received.push({ path: req.url ?? '', body })
      res.end(req.url === '/v2/' ? '{}' : 'thank you')
    })
  })
  await new Promise<void>((resolve) => receiver.listen(0, '127.0.0.1', resolve))
  port = (receiver.address() as AddressInfo).port
  world = await World.start({ args: ['--db', join(folder, 'db'), '--allow-destination', '127.0.0.1'] })
  await world.setUp()
})

afterAll(async () => {
  await world?.stop()
  await new Promise((resolve) => receiver.close(resolve))
  rmSync(folder, { recursive: true, force: true })
})

async function open(page: Page, path: string) {
  await page.goto(path)
  await settled(page)
}

test('a channel is made, previewed and tested against its receiver', async () => {
  const page = await world.page()
  await open(page, '/integrations/channels')
  await page.getByRole('button', { name: 'Add a channel' }).click()
  const form = page.getByRole('dialog')
  await form.getByLabel('Name', { exact: true }).fill('Operations')
  await form.getByLabel('Address', { exact: true }).fill(`http://127.0.0.1:${port}/hook`)
  await form.getByLabel('Plain HTTP is allowed').check()
  await form.getByRole('button', { name: 'Preview' }).click()
  await form.getByText('What would be sent').waitFor()
  await form.getByRole('button', { name: 'Save' }).click()
  const send = form.getByRole('button', { name: 'Send a test' })
  await expect.poll(() => send.isEnabled()).toBe(true)
  await send.click()
  await form.getByText('The receiver took the message').waitFor()
  expect(received.map((r) => r.path)).toEqual(['/hook'])
  await accessible(page)
  await page.keyboard.press('Escape')
  await page.getByRole('row', { name: /Operations/ }).getByText('Nothing sent yet').waitFor() // a test is no message
  world.clean()
})

test('a registry is tried before it is saved', async () => {
  const page = await world.page()
  await open(page, '/integrations/registries')
  await page.getByRole('button', { name: 'Add a registry' }).click()
  const form = page.getByRole('dialog')
  await form.getByLabel('Name', { exact: true }).fill('Local')
  await form.getByLabel('Address', { exact: true }).fill(`127.0.0.1:${port}`)
  await form.getByRole('button', { name: 'Test' }).click()
  await form.getByText('Cannot be reached').waitFor() // it speaks no TLS
  await form.getByLabel(/Plain HTTP, or a certificate/).check()
  await form.getByRole('button', { name: 'Test' }).click()
  await form.getByRole('status').getByText('Works').waitFor()
  await form.getByRole('button', { name: 'Save' }).click()
  await page.getByRole('row', { name: /Local/ }).waitFor()
  world.clean()
})

test('a user gets a role and a one-time link, and a token is made and used', async () => {
  const page = await world.page()
  await open(page, '/settings/users')
  await page.getByRole('button', { name: 'Add a user' }).click()
  const dialog = page.getByRole('dialog', { name: 'Add a user' })
  await dialog.getByLabel('User name').fill('carol')
  await dialog.getByRole('button', { name: 'Add', exact: true }).click()
  const detail = page.getByRole('dialog', { name: 'carol' })
  await detail.getByRole('button', { name: 'Make a link' }).click()
  await page.getByRole('tooltip').getByRole('button', { name: 'Make a link' }).click()
  await expect.poll(() => detail.getByTestId('reset-link').innerText()).toMatch(/\/reset#token=\S+/)
  await page.keyboard.press('Escape')
  await page.getByRole('row', { name: /carol.*Viewer everywhere/ }).waitFor()

  await open(page, '/settings/tokens')
  await page.getByRole('button', { name: 'New token' }).click()
  const make = page.getByRole('dialog', { name: 'New token' })
  await make.getByLabel('Name', { exact: true }).fill('pipeline')
  await make.getByLabel('See findings, assets, tasks and clusters').check()
  await make.getByRole('button', { name: 'Make the token' }).click()
  const token = await make.getByTestId('token').innerText()
  await make.getByRole('button', { name: 'I have kept it' }).click()
  await page.getByRole('row', { name: /pipeline/ }).waitFor()
  const program = await request.newContext({ baseURL: world.url, ignoreHTTPSErrors: true, extraHTTPHeaders: { Authorization: `Bearer ${token}` } })
  expect((await program.get('/api/v1/clusters')).status()).toBe(200)
  expect((await program.get('/api/v1/users')).status()).toBe(403) // it was made for reading
  await page.getByRole('row', { name: /pipeline/ }).getByRole('button', { name: 'Revoke' }).click()
  await page.getByRole('tooltip').getByRole('button', { name: 'Revoke' }).click()
  await page.getByText('You have no tokens').waitFor()
  expect((await program.get('/api/v1/clusters')).status()).toBe(401)
  await program.dispose()
  world.clean()
})

test('the audit log tells it, with what was before and after, by URL', async () => {
  const page = await world.page()
  await open(page, '/settings/audit?action=channel')
  await page.getByRole('row', { name: /channel\.add/ }).click()
  await page.getByRole('dialog').getByText('"name": "Operations"').waitFor()
  expect(new URL(page.url()).searchParams.get('entry')).toBeTruthy()
  await page.reload()
  await page.getByRole('dialog').getByText('"name": "Operations"').waitFor()
  await page.keyboard.press('Escape')
  await page.getByRole('button', { name: 'Export' }).click()
  const coming = page.waitForEvent('download')
  await page.getByRole('link', { name: 'As CSV' }).click()
  expect((await coming).suggestedFilename()).toBe('audit.csv')
  world.clean()
})

test('a new advisory database is dropped in and used', async () => {
  const page = await world.page()
  await open(page, '/settings/advisories')
  await page.getByText('Not signed').waitFor()
  await page.locator('input[type=file]').setInputFiles(join(folder, 'key.pem'))
  await page.getByText('The database was not taken; the one before stays in use').waitFor()
  await page.locator('input[type=file]').setInputFiles(file)
  await page.getByText(/Signed by key [0-9a-f]{16}, which was not checked/).waitFor()
  await page.getByRole('group', { name: 'Last databases' }).getByText('In use').waitFor()
  world.clean()
})

const pages = [
  ...['profile', 'tokens', 'users', 'roles', 'sign-in', 'audit', 'advisories', 'exceptions', 'system'].map((s) => `/settings/${s}`),
  '/integrations/channels',
  '/integrations/deliveries',
  '/integrations/registries',
]

test.each(['en', 'zh'] as const)('all pages in %s are accessible', { timeout: 300_000 }, async (lang) => {
  await everywhere(
    world,
    lang,
    pages.map((path) => [path.slice(1).replace('/', '-'), path] as const),
  )
})

test('an auditor reads the log and is shown nothing to change', async () => {
  await world.addUser('audrey', 'auditor')
  const page = await world.page('audrey')
  await open(page, '/settings/exceptions')
  expect(await page.getByRole('button', { name: 'Save' }).count()).toBe(0)
  expect(await page.getByRole('link', { name: 'Users' }).count()).toBe(0)
  await page.getByRole('link', { name: 'Audit log' }).click()
  await page.getByRole('row', { name: /channel\.add/ }).waitFor()
  await open(page, '/integrations/registries')
  await page.getByText('This is not for your roles').waitFor()
  const api = await world.api('audrey')
  expect((await api.get('/api/v1/registries')).status()).toBe(403)
  expect((await api.get('/api/v1/system')).status()).toBe(403)
})
