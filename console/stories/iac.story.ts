// IaC: the demo's files are uploaded, findings stand at their lines, a second upload shows what it changed.
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'

import { accessible, fits, settled, shot, World } from './harness'

const demo = fileURLToPath(new URL('../../demo/iac', import.meta.url))
let world: World

beforeAll(async () => {
  world = await World.start()
  await world.setUp()
})
afterEach(() => world?.clean())
afterAll(() => world?.stop())

// drop drops files on the page as a browser does.
async function drop(page: Page, files: { name: string; text: string }[]) {
  const data = await page.evaluateHandle((list) => {
    const d = new DataTransfer()
    for (const f of list) d.items.add(new File([f.text], f.name))
    return d
  }, files)
  await page.dispatchEvent('body', 'dragenter', { dataTransfer: data })
  await page.getByText(/^Drop to scan/).waitFor()
  await page.dispatchEvent('body', 'drop', { dataTransfer: data })
}

describe('infrastructure as code', () => {
  test('a folder is uploaded, and its findings stand at their lines', async () => {
    const page = await world.page()
    await page.goto('/iac')
    await settled(page)
    await page.getByText('Check your manifests before they run').waitFor()
    await accessible(page)
    const chooser = page.waitForEvent('filechooser')
    await page.getByRole('button', { name: 'Upload a folder' }).first().click()
    await (await chooser).setFiles(demo)
    const dialog = page.getByRole('dialog')
    await dialog.getByText(/12 files/).waitFor()
    await dialog.getByLabel('Name of the project').fill('bad name')
    expect(await dialog.getByRole('button', { name: 'Upload and scan' }).isDisabled()).toBe(true)
    await dialog.getByLabel('Name of the project').fill('shop')
    await accessible(page)
    await dialog.getByRole('button', { name: 'Upload and scan' }).click()

    await page.getByRole('heading', { level: 1, name: 'shop' }).waitFor()
    const tree = page.getByRole('tree', { name: 'Files' })
    await tree.waitFor({ timeout: 60_000 })
    await tree.getByRole('treeitem', { name: /cart\.yaml/ }).click()
    const code = page.getByRole('region', { name: 'Text of chart/templates/cart.yaml' })
    await code.waitFor()
    expect(page.url()).toContain('file=chart%2Ftemplates%2Fcart.yaml')

    // The first finding by keyboard; the address has it, and so a link shows the same.
    await page.keyboard.press('n')
    const detail = page.getByRole('complementary', { name: 'Chosen finding' })
    await detail.getByText('Why it matters').waitFor()
    const title = await detail.getByRole('heading', { level: 2 }).innerText()
    expect(page.url()).toMatch(/finding=\d+/)
    await page.keyboard.press('n')
    await expect.poll(() => detail.getByRole('heading', { level: 2 }).innerText().catch(() => '')).not.toBe(title)
    await page.keyboard.press('p')
    await expect.poll(() => detail.getByRole('heading', { level: 2 }).innerText()).toBe(title)
    await page.reload()
    await expect.poll(() => detail.getByRole('heading', { level: 2 }).innerText().catch(() => '')).toBe(title)
    await accessible(page)
    await shot(page, 'story-iac-file')
  })

  test('credentials of files are not shown', async () => {
    const page = await world.page()
    await page.goto('/iac/shop')
    await settled(page)
    await drop(page, [
      { name: 'pod.yaml', text: 'apiVersion: v1\nkind: Pod\nmetadata: {name: till}\nspec:\n  containers:\n  - name: c\n    image: i\n    env:\n    - name: DB_PASSWORD\n      value: hunter2-of-a-story\n' },
      { name: 'Dockerfile', text: readFileSync(demo + '/web/Dockerfile', 'utf8') },
    ])
    await page.getByRole('dialog').getByText('2 files').waitFor()
    await page.getByRole('dialog').getByRole('button', { name: 'Upload and scan' }).click()
    await page.getByRole('treeitem', { name: /pod\.yaml/ }).click({ timeout: 60_000 })
    const code = page.getByRole('region', { name: 'Text of pod.yaml' })
    await code.getByText('DB_PASSWORD').first().waitFor()
    expect(await page.content()).not.toContain('hunter2-of-a-story')
  })

  test('the uploads show what each changed', async () => {
    const page = await world.page()
    await page.goto('/iac/shop?tab=uploads')
    await settled(page)
    const table = page.getByRole('table', { name: 'Uploads' })
    await expect.poll(() => table.locator('tbody tr[data-index]').count()).toBe(2)
    const newest = table.locator('tbody tr[data-index="0"] td')
    await expect.poll(async () => Number((await newest.nth(3).innerText()).replace(/\D/g, ''))).toBeGreaterThan(0) // the chart is gone
    await accessible(page)
    await page.getByRole('tab', { name: 'Check in CI' }).click()
    await page.getByText('stockade scan iac . --server --project shop').waitFor()
    await accessible(page)
  })

  test('it works on a phone and in Chinese', async () => {
    const page = await world.page('root-of-all', { lang: 'zh', width: 390, height: 844, dark: true })
    await page.goto('/iac/shop?file=Dockerfile')
    await settled(page)
    await page.getByRole('region', { name: 'Dockerfile 的内容' }).waitFor()
    await fits(page)
    await accessible(page)
  })

  test('a file that cannot be read is told with its reason', async () => {
    const page = await world.page()
    await page.goto('/iac')
    await settled(page)
    await drop(page, [
      { name: 'broken.yaml', text: 'apiVersion: v1\nkind: [unclosed\n' },
      { name: 'good.yaml', text: 'apiVersion: v1\nkind: Namespace\nmetadata: {name: x}\n' },
    ])
    await page.getByLabel('Name of the project').fill('half')
    await page.getByRole('dialog').getByRole('button', { name: 'Upload and scan' }).click()
    await page.getByText('Some files of the last upload could not be read').waitFor({ timeout: 60_000 })
    await page.getByRole('tab', { name: /Not scanned/ }).click()
    await page.getByRole('link', { name: /broken\.yaml/ }).click()
    await page.getByRole('region', { name: 'Text of broken.yaml' }).waitFor()

    await page.getByRole('button', { name: /Remove$/ }).click()
    await page.getByRole('dialog').getByRole('button', { name: 'Remove', exact: true }).click()
    await page.getByRole('heading', { level: 1, name: 'Infrastructure as code' }).waitFor()
    await page.getByRole('link', { name: 'shop', exact: true }).waitFor()
    await expect.poll(() => page.getByRole('link', { name: 'half', exact: true }).count()).toBe(0)
  })

  test('an auditor reads and cannot upload', async () => {
    await world.addUser('iac-auditor', 'auditor')
    const page = await world.page('iac-auditor')
    await page.goto('/iac/shop')
    await settled(page)
    await page.getByRole('tree', { name: 'Files' }).waitFor()
    for (const name of [/Upload/, /Remove$/]) expect(await page.getByRole('button', { name }).count()).toBe(0)
  })
})
