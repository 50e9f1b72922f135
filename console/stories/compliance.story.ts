// Compliance: what an auditor does. Every number leads to what it counts, what is accepted does not pass, what a person attests stays
// a person's word, and the file holds all of it.
import { readFile } from 'node:fs/promises'

import { afterAll, beforeAll, expect, test } from 'vitest'

import { accessible, fits, settled, World } from './harness'

let world: World

beforeAll(async () => {
  world = await World.start({ demo: true })
  await world.addUser('auditor', 'auditor')
})
afterAll(() => world?.stop())

type Frameworks = { items: { framework: string; title: string; fail: number; pass: number; manual: number; score: number; accepted: number; attested: number }[] }

async function ask<T>(path: string, user?: string): Promise<T> {
  const answer = await (await world.api(user)).get('/api/v1' + path)
  expect(answer.status(), `${path}: ${await answer.text()}`).toBe(200)
  return (await answer.json()) as T
}

test('from the frameworks to the evidence of a clause and its findings', async () => {
  const page = await world.page()
  const { items } = await ask<Frameworks>('/compliance')
  const baseline = items.find((f) => f.framework === 'pss-baseline')!
  await page.goto('/compliance')
  await settled(page)
  await accessible(page)
  const card = page.getByRole('listitem').filter({ has: page.getByRole('heading', { name: 'Pod Security Standards: baseline' }) })
  await card.getByRole('link', { name: `Fail: ${baseline.fail}` }).click()
  await page.waitForURL(/\/compliance\/pss-baseline\?status=fail/)
  await settled(page)
  await page.getByText(`${baseline.fail} clauses`).waitFor()
  await accessible(page)

  const { items: clauses } = await ask<{ items: { clause: string; open: number }[] }>('/compliance/pss-baseline/compare?q=privileged')
  const open = clauses.find((c) => c.clause === 'privileged-containers')!.open
  await page.getByRole('button', { name: 'No privileged containers' }).click()
  const detail = page.getByRole('dialog')
  await detail.getByRole('heading', { name: 'Evidence' }).waitFor()
  expect(page.url()).toContain('open=privileged-containers')
  await detail.getByText('securityContext.privileged').first().waitFor()
  await accessible(page)
  await detail.getByRole('link', { name: `Show all ${open} open findings` }).click()
  await page.waitForURL(/\/risks\?/)
  const list = await ask<{ total: number }>('/findings?framework=pss-baseline&clause=privileged-containers&limit=1')
  expect(list.total).toBe(open)
  await page.goBack()
  await page.getByRole('dialog').getByRole('heading', { name: 'Evidence' }).waitFor()
  await page.keyboard.press('Escape')
  await expect.poll(() => page.url()).not.toContain('open=')
  world.clean()
  await page.close()
})

test('what is accepted fails still, and says so', async () => {
  const before = (await ask<Frameworks>('/compliance')).items.find((f) => f.framework === 'pss-baseline')!
  const { items } = await ask<{ items: { id: string }[] }>('/findings?framework=pss-baseline&clause=privileged-containers&limit=500')
  const done = await (await world.api()).post('/api/v1/findings/actions', { data: { action: 'ignore', note: 'known', ids: items.map((f) => f.id) } })
  expect(done.status(), await done.text()).toBe(200)
  const after = (await ask<Frameworks>('/compliance')).items.find((f) => f.framework === 'pss-baseline')!
  expect(after).toMatchObject({ fail: before.fail, pass: before.pass, score: before.score, accepted: 1 })
  const page = await world.page()
  await page.goto('/compliance/pss-baseline?status=fail-accepted')
  await settled(page)
  const row = page.getByRole('row').filter({ hasText: 'No privileged containers' })
  await row.getByText('Fails, accepted').waitFor()
  await row.getByRole('link', { name: `${items.length} accepted findings of clause privileged-containers` }).waitFor()
  world.clean()
  await page.close()
})

test('a person attests what rules cannot decide, and an auditor reads it but may not', async () => {
  const page = await world.page()
  await page.goto('/compliance/mlps-2.0?open=8.1.2.1.a')
  const detail = page.getByRole('dialog')
  await detail.getByText('How to check it by hand').waitFor()
  await detail.getByRole('button', { name: 'Attest by hand' }).click()
  await detail.getByRole('radio', { name: 'Pass' }).check()
  await detail.getByLabel('Note').fill('Peak load of March was 40% of the capacity.')
  await accessible(page)
  await detail.getByRole('button', { name: 'Record' }).click()
  await detail.getByText('Attested by a person: Pass').first().waitFor()
  const f = (await ask<Frameworks>('/compliance')).items.find((x) => x.framework === 'mlps-2.0')!
  expect(f.attested).toBe(1)

  const other = await world.page('auditor', { lang: 'zh' })
  await other.goto('/compliance/mlps-2.0?open=8.1.2.1.a')
  const read = other.getByRole('dialog')
  await read.getByText('Peak load of March').waitFor()
  expect(await read.getByRole('button', { name: '登记人工认定' }).count()).toBe(0)
  expect(await read.getByRole('button', { name: '撤回' }).count()).toBe(0)
  await accessible(other)
  const refused = await (await world.api('auditor')).post('/api/v1/compliance/mlps-2.0/clauses/8.1.2.1.b/attestations', { data: { targetId: '1', verdict: 'pass', note: 'x' } })
  expect(refused.status()).toBe(403)
  world.clean()
  await other.close()
  await page.close()
})

test('clusters compared, trend and the file for an auditor', async () => {
  const page = await world.page('auditor')
  await page.goto('/compliance/cis-1.12')
  await settled(page)
  await page.getByRole('tab', { name: 'Clusters compared' }).click()
  await page.waitForURL(/tab=compare/)
  await page.getByRole('columnheader', { name: 'shop' }).waitFor()
  await accessible(page)
  await page.getByRole('tab', { name: 'Trend' }).click()
  await page.getByRole('heading', { name: 'Days of change' }).waitFor()
  await accessible(page)
  await page.getByRole('tab', { name: 'Export' }).click()
  await page.getByRole('radio', { name: 'CSV (for a spreadsheet)' }).check()
  await accessible(page)
  const [file] = await Promise.all([page.waitForEvent('download'), page.getByRole('button', { name: 'Download' }).click()])
  expect(file.suggestedFilename()).toMatch(/^cis-1\.12-.*\.csv$/)
  const rows = (await readFile(await file.path(), 'utf8')).split('\n').filter((line) => line.startsWith('clause,'))
  const { total } = await ask<{ total: number }>('/compliance/cis-1.12/compare?limit=1')
  expect(rows.length).toBe(total)
  const html = await (await world.api('auditor')).get('/api/v1/compliance/cis-1.12/export?form=html&lang=zh')
  expect(await html.text()).toContain('合规评估报告')
  world.clean()
  await page.close()
})

test('on a phone, in Chinese, in the dark', async () => {
  const page = await world.page('root-of-all', { lang: 'zh', width: 390, height: 844, dark: true })
  for (const path of ['/compliance', '/compliance/cis-1.12', '/compliance/cis-1.12?tab=compare', '/compliance/cis-1.12?tab=trend', '/compliance/cis-1.12?tab=export', '/compliance/cis-1.12?open=1.1.1']) {
    await page.goto(path)
    await settled(page)
    await fits(page)
    await accessible(page)
  }
  world.clean()
  await page.close()
})

test('before any scan it says what to do', async () => {
  const empty = await World.start()
  try {
    await empty.setUp()
    const page = await empty.page()
    await page.goto('/compliance')
    await page.getByText('No scan has judged this yet').waitFor()
    await page.getByText('CIS Kubernetes Benchmark 1.12').waitFor()
    await accessible(page)
    await page.getByRole('button', { name: 'Scan a cluster' }).click()
    await page.waitForURL(/\/scans/)
    empty.clean()
  } finally {
    await empty.stop()
  }
})
