// Scans: a new scan through the dialog, its progress, canceling and trying again, a schedule.
import { createServer } from 'node:net'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'

import { accessible, fits, settled, World } from './harness'

let world: World

beforeAll(async () => {
  world = await World.start({ demo: true, args: ['--allow-local-clusters'] })
})
afterEach(() => world?.clean())
afterAll(() => world?.stop())

describe('scans', () => {
  test('the dialog says what a scan does, and starts it', async () => {
    const page = await world.page()
    await page.goto('/scans')
    await settled(page)
    await page.getByRole('button', { name: 'New scan' }).click()
    const dialog = page.getByRole('dialog')
    await dialog.getByText('Nothing. The scan only reads').waitFor()
    await dialog.getByText('saved copy').waitFor()
    expect(await page.evaluate(() => location.search)).toContain('new=true')

    // Some clusters, without any: there is nothing to start.
    await dialog.getByText('Some clusters').click()
    expect(await dialog.getByRole('button', { name: 'Start the scan' }).isDisabled()).toBe(true)
    await dialog.getByRole('combobox', { name: 'Clusters' }).click()
    await page.getByTitle('shop').last().click()
    await page.keyboard.press('Escape')
    await dialog.getByLabel('Malicious files').uncheck()
    await dialog.getByLabel('Name of the scan').fill('Scan by a story')
    await dialog.getByText('saved copy').waitFor()
    await accessible(page)
    await dialog.getByRole('button', { name: 'Start the scan' }).click()

    await page.getByRole('heading', { level: 1, name: 'Scan by a story' }).waitFor()
    await page.getByRole('progressbar').first().waitFor()
    await page.getByText(/^Finished( in part)?$/).first().waitFor({ timeout: 120_000 })
    await expect.poll(() => page.getByRole('progressbar').first().getAttribute('aria-valuenow'), { timeout: 30_000 }).toBe('100')
    expect(await page.getByRole('button', { name: 'Cancel the task' }).count()).toBe(0) // it has ended
    await page.getByRole('rowheader', { name: 'Unsafe configuration' }).waitFor()
    expect(await page.getByRole('rowheader', { name: 'Malicious files' }).count()).toBe(0)
    await accessible(page)
    await page.getByRole('tab', { name: 'Not scanned' }).click()
    await page.getByRole('table', { name: 'Not scanned' }).waitFor()
    await accessible(page)
  })

  test('filters stand in the address', async () => {
    const page = await world.page()
    await page.goto('/scans?trigger=upload')
    await settled(page)
    await page.getByText('Nothing matches the filters').waitFor()
    await page.goto('/scans?trigger=manual')
    await page.getByRole('link', { name: 'Scan by a story' }).waitFor()
    await page.getByRole('link', { name: 'Scan by a story' }).click()
    await page.getByRole('heading', { level: 1, name: 'Scan by a story' }).waitFor()
    await page.goBack()
    await page.getByRole('link', { name: 'Scan by a story' }).waitFor()
    expect(page.url()).toContain('trigger=manual')
    await fits(page)
  })

  test('what did not succeed is tried again', async () => {
    const page = await world.page()
    const api = await world.api()
    const made = await api.post('/api/v1/tasks', { data: { name: 'One node', nodes: [{ clusterId: '1', name: 'node-1' }] } })
    const { id } = (await made.json()) as { id: string }
    const items = async () => ((await (await api.get(`/api/v1/tasks/${id}/items`)).json()) as { items: { status: string; attempt: number }[] }).items
    await page.goto(`/tasks/${id}`)
    await page.getByText('Failed', { exact: true }).first().waitFor()
    await page.getByText('no agent on node node-1: enable it so that it can be looked into').waitFor()
    const before = (await items())[0]!.attempt
    await page.getByRole('button', { name: 'Try again what failed' }).click()
    await expect.poll(async () => (await items())[0]!.attempt, { timeout: 30_000 }).toBeGreaterThan(before)
    await page.getByText('Failed', { exact: true }).first().waitFor()
    await accessible(page)
  })

  test('a task that runs is canceled, after a question', async () => {
    // An API server that takes connections and says nothing, once it is registered.
    let silent = false
    const mute = createServer((socket) => (silent ? socket.on('error', () => undefined) : socket.destroy())).listen(0, '127.0.0.1')
    await new Promise((done) => mute.once('listening', done))
    const { port } = mute.address() as { port: number }
    const kubeconfig = JSON.stringify({
      apiVersion: 'v1',
      kind: 'Config',
      'current-context': 'c',
      clusters: [{ name: 'c', cluster: { server: `https://127.0.0.1:${port}` } }],
      users: [{ name: 'u', user: { token: 'x' } }],
      contexts: [{ name: 'c', context: { cluster: 'c', user: 'u' } }],
    })
    try {
      const api = await world.api()
      const cluster = await api.post('/api/v1/clusters', { data: { name: 'mute', kind: 'kubeconfig', kubeconfig, unchecked: true } })
      expect(cluster.status(), await cluster.text()).toBe(201)
      silent = true
      const made = await api.post('/api/v1/tasks', { data: { clusterIds: [((await cluster.json()) as { id: string }).id], name: 'Endless' } })
      const page = await world.page()
      await page.goto(`/tasks/${((await made.json()) as { id: string }).id}`)
      await page.getByText('Connecting').first().waitFor()
      await page.getByRole('button', { name: 'Cancel the task' }).click()
      await page.getByRole('button', { name: 'Let it run' }).waitFor()
      await page.getByRole('dialog').getByRole('button', { name: 'Cancel the task' }).click()
      await page.getByText('Canceled', { exact: true }).first().waitFor() // told by an event, without reloading
      await page.getByRole('button', { name: 'Try again what failed' }).waitFor()
    } finally {
      mute.close()
    }
  })

  test('a schedule is added, changed, run and removed', async () => {
    const page = await world.page()
    await page.goto('/schedules')
    await settled(page)
    await page.getByRole('button', { name: 'Add a schedule' }).first().click()
    const form = page.getByRole('dialog')
    await form.getByLabel('Name').fill('Every weekend')
    await form.getByText('On days of the week').click()
    await form.getByRole('checkbox', { name: 'Monday' }).uncheck()
    await form.getByText('Choose at least one day.').first().waitFor()
    expect(await form.getByRole('button', { name: 'Save' }).isDisabled()).toBe(true)
    await form.getByRole('checkbox', { name: 'Saturday' }).check()
    await form.getByLabel('Time', { exact: true }).fill('03:15')
    await form.getByText('03:15:00').first().waitFor() // the next runs, as the server counts them
    await accessible(page)
    await form.getByRole('button', { name: 'Save' }).click()
    await page.getByText('Saturday at 03:15').waitFor()

    await page.getByRole('button', { name: 'Change Every weekend' }).click()
    await form.getByText('Cron', { exact: true }).click()
    await form.getByLabel('Cron expression').fill('61 * * * *')
    await form.getByText(/is no schedule/).waitFor()
    await form.getByLabel('Cron expression').fill('0 */6 * * *')
    await form.getByText('06:00:00').first().waitFor()
    await form.getByRole('button', { name: 'Save' }).click()
    await page.getByText('0 */6 * * *').first().waitFor()

    await page.getByRole('button', { name: 'Run Every weekend now' }).click()
    await page.getByRole('heading', { level: 1, name: 'Every weekend' }).waitFor()
    await page.goto('/schedules')
    await page.getByRole('button', { name: 'Remove Every weekend?' }).click()
    await page.getByRole('dialog').getByRole('button', { name: 'Remove', exact: true }).click()
    await page.getByText('No scan starts by itself').waitFor()
    await world.scanned()
  })

  test('an auditor sees tasks and cannot start any', async () => {
    await world.addUser('reads-only', 'auditor')
    const page = await world.page('reads-only')
    await page.goto('/scans?new=true')
    await settled(page)
    await page.getByRole('link', { name: 'Scan by a story' }).waitFor()
    expect(await page.getByRole('button', { name: 'New scan' }).count()).toBe(0)
    expect(await page.getByRole('dialog').count()).toBe(0)
    const refused = await (await world.api('reads-only')).post('/api/v1/tasks', { data: { allClusters: true } })
    expect(refused.status()).toBe(403)
  })
})
