// Protection: a policy made by the keyboard with its preview in view, versions, files, templates, and what a page that a refusal
// links to says. Enforcing needs a real cluster: the second part asks an API server what it would take.
import { spawn, type ChildProcess } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Page } from 'playwright-core'

import { accessible, everywhere, settled, shot, World } from './harness'

type Kept = { id: string; name: string; version: number; action: string; rules: { rule: string; action?: string }[] }

describe('on the demo', () => {
  let world: World
  beforeAll(async () => {
    world = await World.start({ demo: true })
  })
  afterAll(() => world?.stop())

  const kept = async (): Promise<Kept[]> => ((await (await (await world.api()).get('/api/v1/policies')).json()) as { items: Kept[] }).items

  test('the demo cluster is a saved one: the page says that there is nothing to protect', async () => {
    const page = await world.page()
    await page.goto('/protection')
    await page.waitForURL(/\/protection\/clusters/)
    await settled(page)
    await page.getByText('No live cluster').waitFor()
    await page.getByText('Saved clusters (snapshots) have nothing to protect.').waitFor()
    world.clean()
  })

  // until presses Tab until something has the focus.
  const until = async (page: Page, what: string, arrived: (name: string) => boolean) => {
    for (let i = 0; i < 400; i++) {
      await page.keyboard.press('Tab')
      const name = await page.evaluate(() => {
        const e = document.activeElement as HTMLElement | null
        const label = e?.id ? document.querySelector(`label[for="${CSS.escape(e.id)}"]`)?.textContent : ''
        return [e?.tagName, label, e?.getAttribute('aria-label'), e?.textContent?.slice(0, 80)].filter(Boolean).join('|')
      })
      if (arrived(name)) return
    }
    throw new Error(`Tab does not reach ${what}`)
  }

  test('a policy is made by the keyboard alone, and its preview counts what it would hit', async () => {
    const page = await world.page()
    await page.goto('/protection/policies/new')
    await settled(page)
    await page.getByText('Choose a rule or a condition to see what it would find.').first().waitFor()
    await until(page, 'the name', (n) => n.includes('Name'))
    await page.keyboard.type('No privileged pods')
    await until(page, 'the next step', (n) => n === 'BUTTON|Next')
    await page.keyboard.press('Enter')
    await page.waitForURL(/step=rules/)
    await until(page, 'the search', (n) => n.includes('Search in rules'))
    await page.keyboard.type('privileged container')
    await until(page, 'a rule', (n) => /^INPUT\|.*rivileged/.test(n))
    await page.keyboard.press('Space')
    const pane = page.getByRole('complementary', { name: 'Preview' })
    await pane.getByText(/^Looked at [\d,]+ objects of 1 cluster/).waitFor()
    await pane.getByText(/objects? violates? it/).first().waitFor()
    await page.getByText(/hits \d+ objects? now/).first().waitFor()
    await page.getByRole('button', { name: /Roll-out/ }).focus()
    await page.keyboard.press('Enter')
    await page.getByText('This policy only audits: there is nothing to stage.').waitFor()
    await page.getByRole('button', { name: /What/ }).first().focus()
    await page.keyboard.press('Enter')
    await page.getByRole('radio', { name: /Audit/ }).focus()
    await page.keyboard.press('ArrowUp') // around to the last: block
    await pane.getByText('What users would see').waitFor()
    await pane.getByText('admission webhook "validation.gatekeeper.sh" denied the request').waitFor()
    await page.reload() // nothing typed is lost
    await settled(page)
    expect(await page.getByLabel('Name', { exact: true }).inputValue()).toBe('No privileged pods')
    await page.getByRole('button', { name: 'Save', exact: true }).focus()
    await page.keyboard.press('Enter')
    await page.waitForURL(/\/protection\/policies\/\d+$/)
    await page.getByRole('heading', { level: 1, name: 'No privileged pods' }).waitFor()
    const policy = (await kept()).find((p) => p.name === 'No privileged pods')!
    expect(policy).toMatchObject({ action: 'block', version: 1 })
    expect(policy.rules.some((r) => r.rule.includes('privileged'))).toBe(true)
    world.clean()
  })

  test('what is incomplete is told by step, and nothing is saved', async () => {
    const page = await world.page()
    const before = (await kept()).length
    await page.goto('/protection/policies/new')
    await settled(page)
    await page.getByRole('button', { name: 'Save', exact: true }).click()
    await page.getByText('It cannot be saved yet').waitFor()
    await page.getByText('What: A name is needed.').waitFor()
    await page.getByText('Rules: Choose at least one rule, image check or template.').waitFor()
    expect((await kept()).length).toBe(before)
    world.clean()
  })

  test('a change is a version, two are compared, and the old one comes back', async () => {
    const page = await world.page()
    const { id } = (await kept()).find((p) => p.name === 'No privileged pods')!
    await page.goto(`/protection/policies/${id}/edit?step=scope`)
    await settled(page)
    await page.getByLabel('In system namespaces too').check()
    await page.getByText('This can lock the cluster out').waitFor()
    await page.getByRole('button', { name: /Review/ }).click()
    await page.getByText('What changes against version 1').first().waitFor()
    await page.getByLabel('Why it is changed (kept with the version)').fill('told by the story')
    await page.getByRole('button', { name: 'Save', exact: true }).click()
    await page.waitForURL(new RegExp(`/protection/policies/${id}$`))
    await page.getByRole('tab', { name: 'Versions' }).click()
    await page.getByText('From version 1 to version 2').first().waitFor()
    await page.getByText('told by the story').waitFor()
    await page.getByText('+ systemNamespaces: true', { exact: false }).or(page.getByText('systemNamespaces: true')).first().waitFor()
    await page.getByRole('button', { name: 'Restore' }).click()
    await page.getByRole('tooltip').getByRole('button', { name: 'Restore' }).click()
    await page.getByText('Version 1 is back, as a new version').waitFor()
    await expect.poll(async () => (await kept()).find((p) => p.id === id)?.version).toBe(3)
    world.clean()
  })

  test('a kept policy is previewed, and the result is a table that is taken along', async () => {
    const page = await world.page()
    const { id } = (await kept())[0]!
    await page.goto(`/protection/preview?policy=${id}`)
    await settled(page)
    await page.getByRole('button', { name: 'Run', exact: true }).click()
    await page.getByRole('heading', { name: 'What is there now' }).waitFor()
    await page.getByRole('heading', { name: 'Recorded admissions' }).waitFor()
    const file = page.waitForEvent('download')
    await page.getByRole('button', { name: 'Export CSV' }).first().click()
    const text = readFileSync((await (await file).path())!, 'utf8')
    expect(text).toContain('Action,Severity,Id,Rule')
    expect(text.trim().split('\r\n').length).toBeGreaterThan(1)
    world.clean()
  })

  test('policies go out and come in as a file, told before they are taken', async () => {
    const page = await world.page()
    const api = await world.api()
    const yaml = (await (await api.get('/api/v1/policies/file')).text()).replace('No privileged pods', 'Imported by the story')
    await page.goto('/protection/policies')
    await settled(page)
    await page.getByRole('button', { name: 'Import YAML' }).click()
    const dialog = page.getByRole('dialog')
    await dialog.getByLabel('Or as text').fill(yaml)
    await dialog.getByRole('button', { name: 'Check' }).click()
    await dialog.getByText('would be added').waitFor()
    expect((await kept()).some((p) => p.name === 'Imported by the story')).toBe(false)
    await dialog.getByRole('button', { name: /Import$/ }).click() // its sign of waiting may still be on its way out
    await page.getByRole('link', { name: 'Imported by the story' }).waitFor()
    world.clean()
  })

  test('a template that the engine does not take is told why, a good one is kept', async () => {
    const page = await world.page()
    await page.goto('/protection/templates/new')
    await settled(page)
    const editor = page.getByLabel('ConstraintTemplate (YAML)')
    const good = await editor.inputValue()
    await editor.fill(good.replace('variables.params.labels.all(l,', 'variables.params.labels.all(l'))
    await page.getByRole('button', { name: 'Test and save' }).click()
    await page.getByText('The engine does not take this template').waitFor()
    await editor.fill(good)
    await page.getByRole('button', { name: 'Test and save' }).click()
    await page.waitForURL(/\/protection\/templates\/requiredlabels$/)
    world.clean()
  })

  test('the page that refusals link to says rule, policy and fix', async () => {
    const page = await world.page()
    const policy = (await kept()).find((p) => p.name === 'No privileged pods')!
    await page.goto(`/protection/why?policy=${policy.id}&rule=${policy.rules[0]!.rule}`)
    await settled(page)
    await page.getByRole('heading', { name: 'The rule' }).waitFor()
    await page.getByText('What to do').waitFor()
    await page.getByRole('link', { name: 'No privileged pods' }).waitFor()
    world.clean()
  })

  test('who may only read sees policies, and no way to change them', async () => {
    await world.addUser('reader', 'viewer')
    const page = await world.page('reader')
    await page.goto('/protection/policies')
    await settled(page)
    await page.getByRole('link', { name: 'No privileged pods' }).waitFor()
    expect(await page.getByRole('button', { name: 'New policy' }).count()).toBe(0)
    expect(await page.getByRole('button', { name: 'Import YAML' }).count()).toBe(0)
    world.clean()
  })

  test.each(['en', 'zh'] as const)('axe finds nothing serious, and 390 pixels are enough: %s', { timeout: 600_000 }, async (lang) => {
    const made = await (await world.api()).post('/api/v1/policies', { data: { name: `Looked at in ${lang}`, action: 'block', rules: [{ rule: 'workload/privileged-container' }], checks: [{ check: 'malware' }], scope: { systemNamespaces: true } } })
    const { id } = (await made.json()) as Kept
    const paths: [string, string][] = [
      ['clusters', '/protection/clusters'],
      ['policies', '/protection/policies'],
      ...(['what', 'rules', 'images', 'scope', 'rollout', 'review'] as const).map((s): [string, string] => [`wizard-${s}`, `/protection/policies/${id}/edit?step=${s}`]),
      ['policy', `/protection/policies/${id}`],
      ['versions', `/protection/policies/${id}?tab=versions`],
      ['objects', `/protection/policies/${id}?tab=objects`],
      ['templates', '/protection/templates'],
      ['template', '/protection/templates/new'],
      ['preview', `/protection/preview?policy=${id}`],
      ['events', '/protection/events'],
      ['unchecked', '/protection/unchecked'],
      ['health', '/protection/health'],
      ['why', `/protection/why?policy=${id}&rule=workload/privileged-container`],
    ]
    await everywhere(
      world,
      lang,
      paths.map(([name, path]) => [`protection-${name}`, path] as const),
    )
  })
})

describe('on a real API server', () => {
  let world: World
  let cluster: ChildProcess
  beforeAll(async () => {
    const root = fileURLToPath(new URL('../..', import.meta.url))
    cluster = spawn('go', ['run', './e2e/lab/cmd/labrun', fileURLToPath(new URL('manifests/till.yaml', import.meta.url))], { cwd: root, stdio: ['pipe', 'pipe', 'inherit'] })
    const path = await new Promise<string>((resolve, reject) => {
      cluster.stdout!.once('data', (data: Buffer) => resolve(data.toString().trim()))
      cluster.once('exit', (code) => reject(new Error(`the API server ended with ${code}`)))
    })
    world = await World.start({ kubeconfig: path })
  }, 600_000)
  afterAll(async () => {
    await world?.stop()
    const ended = new Promise((resolve) => cluster.once('exit', resolve))
    cluster.stdin!.end()
    await ended
  })

  test('the plan says what protection takes, and it begins after consent alone', async () => {
    const page = await world.page()
    await page.goto('/protection/clusters')
    await settled(page)
    await page.getByRole('button', { name: /^Enable the protection of/ }).click()
    const dialog = page.getByRole('dialog')
    await dialog.getByText('The cluster can be protected').waitFor()
    await dialog.getByText(/All \d+ permissions that are needed are there/).waitFor()
    await dialog.getByText(/\d+ objects would be created/).first().waitFor()
    const enable = dialog.getByRole('button', { name: 'Enable', exact: true })
    expect(await enable.isDisabled()).toBe(true)
    await accessible(page)
    await shot(page, 'protection-plan-en-1280')
    await dialog.getByRole('tab', { name: 'Settings' }).click()
    await dialog.getByText('Refuse requests outside of system namespaces').click()
    await dialog.getByText('While Gatekeeper is away, no pod outside of system namespaces can start.').waitFor()
    await accessible(page)
    await shot(page, 'protection-settings-en-1280')
    await dialog.getByText('Let requests in, record them as unchecked and judge them later').click()
    await dialog.getByRole('checkbox', { name: /^I consent to/ }).check()
    await enable.click()
    // Without a kubelet the plug-ins never answer: the steps say so, and the installation goes on by itself.
    await dialog.getByText('Namespaces are created').waitFor()
    await dialog.getByText('Done').first().waitFor()
    await accessible(page)
    await shot(page, 'protection-progress-en-1280')
    await dialog.getByRole('button', { name: 'Close (it goes on)' }).click()
    await page.getByText('Installing').or(page.getByText('Cannot be protected')).first().waitFor()
    world.clean()
  })

  test('it can be ended before it is complete: webhooks go first', async () => {
    const page = await world.page()
    const { items } = (await (await (await world.api()).get('/api/v1/protection')).json()) as { items: { id: string }[] }
    await page.goto(`/protection/clusters?disable=${items[0]!.id}`)
    const dialog = page.getByRole('dialog')
    await dialog.getByText('What enters the cluster is not checked any more').waitFor()
    await accessible(page)
    await shot(page, 'protection-disable-en-1280')
    await dialog.getByRole('button', { name: 'Disable', exact: true }).click()
    // Namespaces end by the controller manager, which an API server alone has not: the last step goes on by itself.
    await dialog.getByRole('listitem').filter({ hasText: 'Webhooks are removed' }).getByText('Done').waitFor()
    await shot(page, 'protection-removing-en-1280')
    await dialog.getByRole('button', { name: 'Close (it goes on)' }).click()
    await page.getByText('Removing').or(page.getByText('Removal not complete')).first().waitFor()
    world.clean()
  })
})
