// Attack paths of the demo: the ranked list with its proof, the graph, what to cut, the scope of the URL, one namespace's view.
import { afterAll, beforeAll, expect, test } from 'vitest'

import { accessible, fits, settled, shot, World } from './harness'

let world: World

beforeAll(async () => {
  world = await World.start({ demo: true })
}, 240_000)
afterAll(async () => world?.stop())

test('a path is read from outside to its goal, with the proof of each step', async () => {
  const page = await world.page()
  await page.goto('/attack-paths')
  await settled(page)
  const list = page.getByRole('list', { name: 'Paths, the worst first' })
  const first = list.getByRole('button').first()
  expect(await first.getAttribute('aria-expanded')).toBe('true')
  expect(await first.textContent()).toContain('cluster-admin')
  const steps = page.getByRole('list', { name: 'Steps of this path' })
  expect(await steps.locator('> li').count()).toBeGreaterThan(4)
  await page.getByRole('group', { name: 'Graph of attack paths' }).locator('.react-flow__node').first().waitFor()
  await accessible(page)
  await fits(page)
  await shot(page, 'attack-en-1280')

  // Another path, and back: the URL has it.
  const second = list.locator('> li').nth(1).getByRole('button')
  const name = (await second.textContent()) ?? ''
  await second.click()
  await expect.poll(() => new URL(page.url()).searchParams.get('path')).toMatch(/^[0-9a-f]{16}$/)
  await page.reload()
  await settled(page)
  expect(await page.locator('button[aria-expanded="true"]', { hasText: name.slice(8, 30) }).count()).toBe(1)

  // Proof leads to the finding.
  await page.getByRole('link', { name: 'Open the finding' }).first().click()
  await page.waitForURL(/\/findings\/\d+/)
  world.clean()
  await page.context().close()
}, 120_000)

test('a cut shows what it ends', async () => {
  const page = await world.page()
  await page.goto('/attack-paths')
  await settled(page)
  const advice = page.getByRole('region', { name: 'Cut here' })
  expect(await advice.locator('li').first().textContent()).toMatch(/ends \d+ of \d+ paths/)
  await advice.getByRole('button', { name: 'Show in the graph' }).first().click()
  await expect.poll(() => page.getByText('Ended by the chosen cut').count()).toBeGreaterThan(0)
  expect(new URL(page.url()).searchParams.get('cut')).toBeTruthy()
  world.clean()
  await page.context().close()
}, 120_000)

test('nodes of the graph are reached by the keyboard', async () => {
  const page = await world.page()
  await page.goto('/attack-paths')
  await settled(page)
  const node = page.getByRole('group', { name: 'Graph of attack paths' }).locator('.react-flow__node').last()
  await node.focus()
  await page.keyboard.press('Enter')
  await page.getByRole('button', { name: 'Show all paths' }).click()
  await expect.poll(() => new URL(page.url()).searchParams.get('node')).toBeNull()
  world.clean()
  await page.context().close()
}, 120_000)

test('unknown holes are assumed when asked for, and the scope is the URL’s', async () => {
  const page = await world.page()
  await page.goto('/attack-paths')
  await settled(page)
  await page.getByRole('switch', { name: 'Assume unknown holes' }).click()
  await page.waitForURL(/assume=true/)
  await page.goto('/attack-paths?target=1&namespace=team-alpha')
  await settled(page)
  await page.getByText('No attack path was found').waitFor()
  await page.getByRole('region', { name: 'What was not looked at' }).waitFor()
  await accessible(page)
  world.clean()
  await page.context().close()
}, 120_000)

test('Chinese, dark, on a phone: the list comes first', async () => {
  const page = await world.page('root-of-all', { lang: 'zh', width: 390, height: 844, dark: true })
  await page.goto('/attack-paths')
  await settled(page)
  const list = await page.getByRole('list', { name: '路径（按严重程度排序）' }).boundingBox()
  const graph = await page.getByRole('group', { name: '攻击路径图' }).boundingBox()
  expect(list!.y).toBeLessThan(graph!.y)
  await fits(page)
  await accessible(page)
  await shot(page, 'attack-zh-390')
  world.clean()
  await page.context().close()
}, 120_000)
