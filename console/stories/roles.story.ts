// What a role may not do is not shown, and the API refuses it all the same.
import { afterAll, beforeAll, expect, test } from 'vitest'

import { settled, World } from './harness'

let world: World

beforeAll(async () => {
  world = await World.start({ demo: true })
  await world.addUser('ann', 'auditor')
  await world.addUser('olga', 'operator')
})
afterAll(() => world?.stop())

const doing = /^(New scan|Start a scan|Add a cluster|Add cluster|Ignore|Handle|Accept|Ask for an exception|Approve|Deny|Upload|Add a user|Add a channel|Add a registry|Run now|Cancel|Retry|Remove|Delete)/

test('an auditor sees everything and no button that changes anything', async () => {
  const page = await world.page('ann')
  for (const path of ['/', '/risks', '/risks?view=findings', '/exceptions', '/assets/clusters', '/clusters/1', '/scans', '/schedules', '/iac', '/compliance', '/images', '/integrations/channels', '/integrations/registries']) {
    await page.goto(path)
    await settled(page)
    const buttons = await page.getByRole('button').allInnerTexts()
    expect(buttons.filter((b) => doing.test(b.trim())), path).toEqual([])
  }
  const { items } = (await (await (await world.api()).get('/api/v1/findings?limit=1')).json()) as { items: { id: string }[] }
  await page.goto(`/findings/${items[0]!.id}`)
  await settled(page)
  expect((await page.getByRole('button').allInnerTexts()).filter((b) => doing.test(b.trim()))).toEqual([])
  world.clean()
})

test('the API refuses an auditor what the console does not show', async () => {
  const api = await world.api('ann')
  const { items } = (await (await api.get('/api/v1/findings?limit=1')).json()) as { items: { id: string }[] }
  for (const [path, data] of [
    [`/api/v1/findings/${items[0]!.id}/actions`, { action: 'ignore', note: 'x' }],
    ['/api/v1/findings/actions', { action: 'ignore', note: 'x', filter: {} }],
    ['/api/v1/tasks', { allClusters: true }],
    ['/api/v1/exceptions', { rule: 'workload/privileged-container', reason: 'x' }],
    ['/api/v1/users', { name: 'eve', grants: [{ role: 'administrator' }] }],
    ['/api/v1/clusters', { name: 'x', kind: 'connector' }],
  ] as const) {
    const answer = await api.post(path, { data })
    expect(answer.status(), path).toBe(403)
  }
})

test('an operator may scan and handle, and sees nothing of users', async () => {
  const page = await world.page('olga')
  await page.goto('/scans')
  await settled(page)
  await page.getByRole('button', { name: 'New scan' }).waitFor()
  await page.goto('/settings/profile')
  await settled(page)
  expect(await page.getByRole('link', { name: 'Users', exact: true }).count()).toBe(0)
  world.clean()
})
