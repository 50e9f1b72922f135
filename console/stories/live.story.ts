// A real API server: added by its kubeconfig, scanned, and a fault of a workload shown as it stands there now, with a fix that was
// tried on it.
import { spawn, type ChildProcess } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'

import { settled, World } from './harness'

let world: World
let cluster: ChildProcess
let kubeconfig = ''

beforeAll(async () => {
  const root = fileURLToPath(new URL('../..', import.meta.url))
  cluster = spawn('go', ['run', './e2e/lab/cmd/labrun', fileURLToPath(new URL('manifests/till.yaml', import.meta.url))], { cwd: root, stdio: ['pipe', 'pipe', 'inherit'] })
  const path = await new Promise<string>((resolve, reject) => {
    cluster.stdout!.once('data', (data: Buffer) => resolve(data.toString().trim()))
    cluster.once('exit', (code) => reject(new Error(`the API server ended with ${code}`)))
  })
  kubeconfig = readFileSync(path, 'utf8')
  world = await World.start({ args: ['--allow-local-clusters'] })
  await world.setUp()
}, 600_000)
afterAll(async () => {
  await world?.stop()
  const ended = new Promise((resolve) => cluster.once('exit', resolve))
  cluster.stdin!.end()
  await ended
})

test('a cluster is added, scanned, and its faulty object shown with a fix', async () => {
  const page = await world.page()
  await page.goto('/assets/clusters')
  await settled(page)
  await page.getByRole('button', { name: 'Add a cluster' }).first().click()
  const dialog = page.getByRole('dialog')
  await dialog.getByLabel('Name').fill('east')
  await dialog.getByLabel('Kubeconfig', { exact: true }).last().fill(kubeconfig)
  await dialog.getByRole('button', { name: 'Check' }).click()
  await dialog.getByText(/v1\.\d+\.\d+/).first().waitFor()
  await dialog.getByRole('button', { name: 'Add and scan' }).click()
  await page.getByRole('heading', { level: 1, name: /east/ }).waitFor()
  await world.scanned()

  await page.goto('/risks?view=findings&rule=workload/privileged-container')
  await page.locator('main tbody tr[data-index="0"]').click()
  const detail = page.getByRole('dialog')
  await detail.getByText('Deployment default/till').first().waitFor()
  // Read from the cluster for this page, the faulty line marked, and the change that ends it.
  await expect.poll(() => detail.locator('[data-line]').filter({ hasText: 'privileged: true' }).count()).toBeGreaterThan(0)
  await detail.getByText('Tried: after this change').waitFor()
  await detail.getByText('privileged: false').first().waitFor()
  expect(await detail.getByText('registry.example.com/shop/till:1.0').count()).toBeGreaterThan(0)
  world.clean()
})
