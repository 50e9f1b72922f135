// The palette finds anything by the keyboard; a finding shows its object, and a fix that was tried.
import { readFileSync } from 'node:fs'
import type { Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'

import { accessible, fits, settled, shot, World } from './harness'

let world: World
beforeAll(async () => {
  world = await World.start({ demo: true })
})
afterAll(() => world.stop())
afterEach(() => world.clean())

const field = (page: Page, lang: 'en' | 'zh' = 'en') => page.getByRole('combobox', { name: lang === 'zh' ? '搜索或执行操作' : 'Find anything or do something' })

describe('palette', () => {
  test('keyboard: finds a workload, opens it, and remembers it', async () => {
    const page = await world.page()
    await page.goto('/')
    await settled(page)
    await page.keyboard.press('Control+k')
    await field(page).waitFor()
    await expect.poll(() => page.getByRole('option').count()).toBeGreaterThan(5)
    await accessible(page)
    await page.keyboard.type('log-agent')
    const option = page.getByRole('option', { name: /^log-agent/ }).first()
    await option.waitFor()
    const chosen = () => page.locator('[role=option][aria-selected=true]')
    await expect.poll(() => chosen().first().textContent()).toContain('log-agent')
    expect(await field(page).getAttribute('aria-activedescendant')).toBe(await chosen().first().getAttribute('id'))
    await shot(page, 'palette.en')
    await page.keyboard.press('Enter')
    await page.waitForURL(/\/assets\/workloads\/\d+$/)
    await field(page).waitFor({ state: 'hidden' }) // as long as it is there, a slash is a letter in it
    await settled(page)
    await page.keyboard.press('/')
    await field(page).waitFor()
    await page.getByRole('group', { name: 'Recent' }).getByRole('option', { name: /^log-agent/ }).waitFor()
    await page.keyboard.press('Escape')
    await field(page).waitFor({ state: 'hidden' })
  })

  test('tells what is not present from what is not known', async () => {
    const page = await world.page()
    await page.goto('/rules')
    await settled(page)
    await page.keyboard.press('Control+k')
    await field(page).fill('CVE-2021-44228')
    await page.getByRole('option', { name: /CVE-2021-44228.*Critical/ }).waitFor()
    await field(page).fill('CVE-1999-99999')
    await page.getByRole('option', { name: /in no advisory known here/ }).waitFor()
    await page.keyboard.press('Enter')
    await page.getByText('No advisory on this server knows this id').waitFor()
    await accessible(page)
  })

  test('commands: goes to a page and changes the language, in Chinese and on a phone', async () => {
    const page = await world.page('root-of-all', { lang: 'zh', width: 390 })
    await page.goto('/rules')
    await settled(page)
    await page.keyboard.press('Control+k')
    await field(page, 'zh').fill('特权容器')
    await page.getByRole('option', { name: /特权容器/ }).first().waitFor()
    await fits(page)
    await accessible(page)
    await shot(page, 'palette.zh.390')
    await field(page, 'zh').fill('Switch')
    await page.getByRole('option', { name: 'Switch to English' }).click()
    await page.getByRole('heading', { level: 1, name: 'Rules' }).waitFor()
  })
})

describe('rules', () => {
  test('filters stand in the URL; a rule tells why, how and where', async () => {
    const page = await world.page()
    await page.goto('/rules?q=KSV-0017')
    await settled(page)
    await page.getByRole('link', { name: 'Privileged container' }).click()
    await page.waitForURL('**/rules/workload/privileged-container')
    await page.getByRole('heading', { name: 'Why it matters' }).waitFor()
    await accessible(page)
    await fits(page)
    await shot(page, 'rule.en')
    await page.getByRole('link', { name: /active finding/ }).click()
    await page.waitForURL(/\/risks\?.*rule=workload(%2F|\/)privileged-container/)
  })

  test.each(['en', 'zh'] as const)('all pages are accessible in %s', async (lang) => {
    const page = await world.page('root-of-all', { lang, dark: lang === 'zh' })
    for (const [path, name] of [
      ['/rules', 'rules'],
      ['/rules/escape/runtime-socket', 'rule-socket'],
      ['/vulnerabilities/CVE-2021-44228', 'vulnerability'],
    ] as const) {
      await page.goto(path)
      await settled(page)
      await accessible(page)
      await fits(page)
      await shot(page, `${name}.${lang}`)
    }
  })
})

describe('fix', () => {
  test('a finding shows its object with the faulty line, and a tried fix to download', async () => {
    const api = await world.api()
    const { items } = (await (await api.get('/api/v1/findings?rule=workload/privileged-container&workload=log-agent')).json()) as { items: { id: string }[] }
    const page = await world.page()
    await page.goto('/findings/' + items[0]!.id)
    await settled(page)
    await page.getByRole('region', { name: 'Object with the faulty lines' }).getByText('privileged: true').waitFor()
    await page.getByText('Tried: after this change').waitFor()
    await page.getByRole('region', { name: 'Change of the object' }).getByText('privileged: false').waitFor()
    await accessible(page)
    const [file] = await Promise.all([page.waitForEvent('download'), page.getByRole('button', { name: /Download privileged-container/ }).click()])
    expect(file.suggestedFilename()).toBe('privileged-container-log-agent.yaml')
    expect(readFileSync((await file.path())!, 'utf8')).toContain('privileged: false')
  })
})
