// Reports: a file now, whose rows are those of the list, and reports by schedule.
import { readFile } from 'node:fs/promises'

import { afterAll, beforeAll, expect, test } from 'vitest'

import { accessible, fits, settled, World } from './harness'

let world: World

beforeAll(async () => {
  world = await World.start({ demo: true })
  await world.addUser('auditor', 'auditor')
  const api = await world.api()
  const views = { list: [{ name: 'Critical configuration', search: { view: 'findings', kind: 'configuration', severity: 'critical' } }] }
  const kept = await api.put('/api/v1/session/preferences/views.risks', { data: views })
  expect(kept.status(), await kept.text()).toBeLessThan(300)
})
afterAll(() => world?.stop())

async function total(query: string): Promise<number> {
  const answer = await (await world.api()).get(`/api/v1/findings?${query}&limit=1`)
  return ((await answer.json()) as { total: number }).total
}

// findingsIn counts the findings of a CSV file: texts in it may have line breaks.
function findingsIn(text: string): number {
  let rows = 0
  let quoted = false
  let start = true
  let cell = ''
  for (const c of text.replace(/^\ufeff/, '')) {
    if (c === '"') quoted = !quoted
    else if (c === '\n' && !quoted) {
      start = true
      cell = ''
      continue
    }
    if (!start) continue
    if (c === ',') {
      if (cell === 'finding') rows++
      start = false
    } else cell += c
  }
  return rows
}

test('an export is a file with the rows of the list that it names', async () => {
  const page = await world.page()
  await page.goto('/reports')
  await settled(page)
  await accessible(page)
  const all = await total('')
  await page.getByRole('link', { name: `${all.toLocaleString('en')} findings` }).waitFor()
  const [file] = await Promise.all([page.waitForEvent('download'), page.getByRole('button', { name: 'Download' }).click()])
  expect(file.suggestedFilename()).toMatch(/^findings-.*\.csv$/)
  expect(findingsIn(await readFile(await file.path(), 'utf8'))).toBe(all)

  await page.getByRole('combobox', { name: 'Which findings' }).click()
  await page.getByText('Saved view: Critical configuration').last().click()
  const some = await total('kind=configuration&severity=critical')
  expect(some).toBeGreaterThan(0)
  await page.getByRole('link', { name: `${some.toLocaleString('en')} findings` }).waitFor()
  await page.getByRole('radio', { name: 'JSON', exact: true }).check()
  await page.waitForURL(/form=json/)
  const [second] = await Promise.all([page.waitForEvent('download'), page.getByRole('button', { name: 'Download' }).click()])
  expect((JSON.parse(await readFile(await second.path(), 'utf8')) as { findings: unknown[] }).findings.length).toBe(some)
  await page.reload()
  await page.getByRole('link', { name: `${some.toLocaleString('en')} findings` }).waitFor()
  world.clean()
  await page.close()
})

test('a compliance framework as a file', async () => {
  const page = await world.page('auditor')
  await page.goto('/reports?what=compliance')
  await settled(page)
  await page.getByRole('combobox', { name: 'Framework' }).click()
  await page.getByText('Pod Security Standards: baseline').last().click()
  await page.getByRole('radio', { name: 'HTML' }).check()
  await page.getByRole('radio', { name: '简体中文' }).check()
  await accessible(page)
  const [file] = await Promise.all([page.waitForEvent('download'), page.getByRole('button', { name: 'Download' }).click()])
  expect(await readFile(await file.path(), 'utf8')).toContain('合规评估报告')
  world.clean()
  await page.close()
})

test('a report by schedule: added, written now, read, changed, removed', async () => {
  const page = await world.page()
  await page.goto('/reports?tab=scheduled')
  await page.getByRole('button', { name: 'Schedule a report' }).click()
  const form = page.getByRole('dialog')
  await form.getByLabel('Name').fill('Weekly worst')
  await form.getByRole('combobox', { name: 'Which findings' }).click()
  await page.getByText('Saved view: Critical configuration').last().click()
  await form.getByRole('radio', { name: 'CSV' }).check()
  await accessible(page)
  await form.getByRole('button', { name: 'Save' }).click()
  await form.waitFor({ state: 'hidden' })
  const row = page.getByRole('row').filter({ hasText: 'Weekly worst' })
  await row.getByRole('link', { name: 'Saved view: Critical configuration' }).waitFor()
  await row.getByText('Not written yet').waitFor()
  await accessible(page)
  await row.getByRole('button', { name: 'Write now: Weekly worst' }).click()
  await row.getByRole('link', { name: 'Weekly worst' }).click()
  await page.waitForURL(/\/reports\/\d+$/)
  const button = page.getByRole('button', { name: 'Download' })
  await button.waitFor({ timeout: 60_000 })
  await accessible(page)
  const [file] = await Promise.all([page.waitForEvent('download'), button.click()])
  expect(findingsIn(await readFile(await file.path(), 'utf8'))).toBe(await total('kind=configuration&severity=critical'))

  await page.getByRole('button', { name: 'Change: Weekly worst' }).click()
  await page.getByRole('dialog').getByRole('radio', { name: 'Compliance framework' }).check()
  await page.getByRole('dialog').getByRole('combobox', { name: 'Framework' }).click()
  await page.getByText('Pod Security Standards: baseline').last().click()
  await page.getByRole('dialog').getByRole('button', { name: 'Save' }).click()
  await page.getByRole('dialog').waitFor({ state: 'hidden' })
  await page.getByRole('link', { name: 'Pod Security Standards: baseline' }).waitFor()
  await page.getByRole('button', { name: 'Remove: Weekly worst' }).click()
  await page.getByRole('button', { name: 'Remove', exact: true }).last().click()
  await page.waitForURL(/\/reports\?tab=scheduled/)
  await page.getByText('No report is scheduled').waitFor()
  world.clean()
  await page.close()
})

test('an auditor exports but schedules nothing', async () => {
  const page = await world.page('auditor', { lang: 'zh' })
  await page.goto('/reports?tab=scheduled')
  await page.getByText('尚无定期报告').waitFor()
  expect(await page.getByRole('button', { name: '新建定期报告' }).count()).toBe(0)
  const refused = await (await world.api('auditor')).post('/api/v1/reports', { data: { name: 'x', form: 'csv' } })
  expect(refused.status()).toBe(403)
  await accessible(page)
  world.clean()
  await page.close()
})

test('on a phone', async () => {
  const page = await world.page('root-of-all', { lang: 'zh', width: 390, height: 844 })
  for (const path of ['/reports', '/reports?what=compliance', '/reports?tab=scheduled']) {
    await page.goto(path)
    await settled(page)
    await fits(page)
    await accessible(page)
  }
  world.clean()
  await page.close()
})
