// What the stories share: a real server with a folder of its own, a real browser, people who sign in, and what must hold on
// every page: no error in its log, no request to another host, no serious finding of axe.
import { spawn, type ChildProcess } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { chromium, request, type APIRequestContext, type Browser, type BrowserContext, type Page } from 'playwright-core'
import { expect, onTestFinished } from 'vitest'

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url))
export const password = 'stories need a password'

export type Look = { lang?: 'en' | 'zh'; width?: number; height?: number; dark?: boolean; keep?: boolean } // keep: for the tests to come

type Options = {
  demo?: boolean // register the demo cluster and wait until it is scanned
  kubeconfig?: string // register this cluster
  args?: string[] // more flags of the server
}

async function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.on('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number }
      server.close(() => resolve(port))
    })
  })
}

const browse = () => chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox', '--disable-quic'] })

// World is a server and a browser.
export class World {
  private constructor(
    readonly url: string,
    readonly setupToken: string,
    readonly folder: string,
    private readonly process: ChildProcess | null,
    private readonly browser: Browser,
  ) {}

  private users = new Map<string, APIRequestContext>()
  private contexts: BrowserContext[] = []
  private faults: string[] = []

  // start starts both. Without options the server knows no cluster and nobody. $STOCKADE is another program than bin/stockade, and
  // $STOCKADE_CONSOLE a console that is not built into it.
  static async start(options: Options = {}): Promise<World> {
    const folder = mkdtempSync(join(tmpdir(), 'stockade-story-'))
    const port = await freePort()
    const args = ['server', '--data', join(folder, 'data'), '--listen', `127.0.0.1:${port}`, '--debug-listen', '', '--db', here('../../bin/db'), '--inventory', here('../../demo/inventories'), ...(options.args ?? [])]
    if (options.demo) args.push('--register-snapshot', here('../../demo/shop'))
    if (options.kubeconfig) args.push('--register-kubeconfig', options.kubeconfig, '--allow-local-clusters')
    if (process.env.STOCKADE_CONSOLE) args.push('--console', process.env.STOCKADE_CONSOLE)
    const child = spawn(process.env.STOCKADE ?? here('../../bin/stockade'), args, { stdio: ['ignore', 'ignore', 'pipe'] })
    let log = ''
    const link = new Promise<string>((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error('no set-up link within 60 s:\n' + log)), 60_000)
      child.stderr.on('data', (data: Buffer) => {
        log += data.toString()
        const found = /setup#token=(\S+)/.exec(log)
        if (found) {
          clearTimeout(timer)
          resolve(found[1]!)
        }
      })
      child.on('exit', (code) => reject(new Error(`the server ended with ${code}:\n${log}`)))
    })
    const token = await link
    const browser = await browse()
    const world = new World(`https://127.0.0.1:${port}`, token, folder, child, browser)
    if (options.demo || options.kubeconfig) {
      await world.setUp()
      await world.scanned()
    }
    return world
  }

  // join opens a browser for a server that somebody else started, and signs an administrator in by the API.
  static async join(url: string, name: string, word: string): Promise<World> {
    const world = new World(url, '', '', null, await browse())
    const api = await world.door()
    const answer = await api.post('/api/v1/session', { data: { name, password: word } })
    expect(answer.status(), await answer.text()).toBe(200)
    world.users.set('root-of-all', api)
    return world
  }

  // setUp makes the administrator "root-of-all" by the API, as the first page does.
  async setUp(): Promise<void> {
    const api = await this.door()
    const answer = await api.post('/api/v1/setup', { data: { token: this.setupToken, name: 'root-of-all', password } })
    expect(answer.status(), await answer.text()).toBe(201)
    this.users.set('root-of-all', api)
  }

  private door(): Promise<APIRequestContext> {
    return request.newContext({ baseURL: this.url, ignoreHTTPSErrors: true })
  }

  // api calls the API as a user.
  async api(user = 'root-of-all'): Promise<APIRequestContext> {
    let api = this.users.get(user)
    if (!api) {
      api = await this.door()
      const answer = await api.post('/api/v1/session', { data: { name: user, password } })
      expect(answer.status(), await answer.text()).toBe(200)
      this.users.set(user, api)
    }
    return api
  }

  // addUser makes a user with a role everywhere; their password is the one that signIn types.
  async addUser(name: string, role: string): Promise<void> {
    const root = await this.api()
    const added = await root.post('/api/v1/users', { data: { name, grants: [{ role }] } })
    expect(added.status(), await added.text()).toBe(201)
    const { id } = (await added.json()) as { id: string }
    const reset = (await (await root.post(`/api/v1/users/${id}/reset`)).json()) as { link?: string; token?: string }
    const token = reset.token ?? /token=([^&]+)/.exec(reset.link ?? '')?.[1] ?? ''
    const set = await (await this.door()).post('/api/v1/password/reset', { data: { token, password } })
    expect(set.status(), await set.text()).toBe(204)
  }

  // scanned waits until no task runs, at most two minutes.
  async scanned(): Promise<void> {
    const api = await this.api()
    const end = Date.now() + 120_000 // expect.poll may not be used before a test
    for (;;) {
      const { items } = (await (await api.get('/api/v1/tasks?limit=50')).json()) as { items: { status: string }[] }
      if (items.length > 0 && items.every((t) => !['ready', 'running'].includes(t.status))) return
      if (Date.now() > end) throw new Error('the scans do not end')
      await new Promise((resolve) => setTimeout(resolve, 250))
    }
  }

  // page opens a browser window of its own, signed in as a user; user '' is nobody.
  async page(user = 'root-of-all', look: Look = {}): Promise<Page> {
    const context = await this.browser.newContext({
      ignoreHTTPSErrors: true,
      baseURL: this.url,
      viewport: { width: look.width ?? 1280, height: look.height ?? 900 },
      colorScheme: look.dark ? 'dark' : 'light',
      locale: look.lang === 'zh' ? 'zh-CN' : 'en-US',
      timezoneId: 'UTC',
      acceptDownloads: true,
      permissions: ['clipboard-read', 'clipboard-write'],
    })
    this.contexts.push(context)
    if (!look.keep) {
      onTestFinished(async ({ task }) => {
        if (task.result?.state === 'fail') await tell(context)
        await context.close()
      })
    }
    await context.addInitScript((lang) => localStorage.setItem('language', lang), look.lang ?? 'en')
    if (user) {
      const api = await this.api(user)
      await api.patch('/api/v1/session', { data: { language: look.lang ?? 'en' } })
      await context.addCookies((await api.storageState()).cookies)
    }
    const page = await context.newPage()
    page.setDefaultTimeout(30_000)
    page.on('pageerror', (error) => this.faults.push(`${page.url()}: ${error.message}`))
    page.on('console', (message) => {
      // An answer that the story expects, such as 401 or 404, is told by the browser as an error too.
      if (message.type() === 'error' && !message.text().startsWith('Failed to load resource')) this.faults.push(`${page.url()}: ${message.text()}`)
    })
    page.on('request', (r) => {
      if (!r.url().startsWith(this.url) && !/^(data|blob):/.test(r.url())) this.faults.push(`a request to ${r.url()}`)
    })
    return page
  }

  // clean tells what the pages did wrong since it was last asked.
  clean(): void {
    const faults = this.faults
    this.faults = []
    expect(faults).toEqual([])
  }

  async stop(): Promise<void> {
    for (const context of this.contexts) await context.close()
    await this.browser.close()
    for (const api of this.users.values()) await api.dispose()
    const server = this.process
    if (server?.exitCode === null) {
      const ended = new Promise((resolve) => server.on('exit', resolve))
      server.kill('SIGTERM')
      await ended
    }
    if (this.folder) rmSync(this.folder, { recursive: true, force: true })
  }
}

// settled waits until a page shows what it shows: its heading, nothing loading.
export async function settled(page: Page): Promise<void> {
  await page.locator('h1').first().waitFor()
  await expect.poll(() => page.locator('.ant-skeleton-active, .ant-spin-spinning').count(), { timeout: 30_000 }).toBe(0)
}

// still waits until nothing moves but what always does, such as the sign of waiting: a dialog that comes in has not its colours yet.
async function still(page: Page): Promise<void> {
  await expect.poll(() => page.evaluate(() => document.getAnimations().filter((a) => a.playState === 'running' && a.effect?.getComputedTiming().iterations !== Infinity).length), { timeout: 10_000 }).toBe(0)
}

// tell says what the windows of a failed story show: where it runs nobody may be there to look.
async function tell(context: BrowserContext): Promise<void> {
  for (const page of context.pages()) {
    const dialog = page.getByRole('dialog').last()
    const shown = await ((await dialog.count()) > 0 ? dialog : page.locator('main, body').first()).ariaSnapshot({ timeout: 5_000 }).catch(String)
    console.log(`${page.url()} shows\n${shown.length > 4000 ? shown.slice(0, 1500) + '\n…\n' + shown.slice(-2500) : shown}`)
  }
}

const axeFile = createRequire(import.meta.url).resolve('axe-core/axe.min.js')

type Violation = { id: string; impact: string; help: string; nodes: { target: unknown[]; html: string; failureSummary?: string }[] }

// accessible holds a page to WCAG 2.2 AA as far as axe can tell: no serious and no critical violation.
export async function accessible(page: Page): Promise<void> {
  await still(page)
  const { readFileSync } = await import('node:fs')
  await page.evaluate(readFileSync(axeFile, 'utf8')) // not a script element: the page's policy would refuse it
  const violations = await page.evaluate(async () => {
    const axe = (globalThis as unknown as { axe: { run: (o: object) => Promise<{ violations: Violation[] }> } }).axe
    // Of rules that a page keeps nothing is needed: naming every element that keeps them is most of the work.
    const result = await axe.run({ resultTypes: ['violations'], runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] })
    return result.violations
  })
  const serious = violations.filter((v) => v.impact === 'serious' || v.impact === 'critical')
  const told = serious.map((v) => `${v.id}: ${v.help}: ${v.nodes.slice(0, 3).map((n) => `${n.target.join(' ')} ${n.html.slice(0, 160)} ${n.failureSummary ?? ''}`).join(' | ')}`)
  if (told.length > 0) expect.fail(`axe on ${page.url()}:\n${told.join('\n')}`)
}

// fits holds a page to its window: nothing makes the page itself scroll sideways.
export async function fits(page: Page): Promise<void> {
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth)
  expect(wide, `the page ${page.url()} is ${wide} pixels wider than the window`).toBeLessThanOrEqual(0)
}

// shot writes a picture of a page to stories/out.
export async function shot(page: Page, name: string): Promise<void> {
  const folder = here('./out')
  if (!existsSync(folder)) mkdirSync(folder, { recursive: true })
  await page.screenshot({ path: join(folder, name + '.png'), fullPage: false })
}

const wide = { width: 1280, height: 900 }
const narrow = { width: 390, height: 844 }

// everywhere holds pages, by name and path, to what every page is held to: in a language, in a wide and in a narrow window, light and
// dark. A page is loaded in one of them, and then turned into the other as a user would. Pictures are NAME-LANGUAGE-WIDTH.
export async function everywhere(world: World, lang: 'en' | 'zh', pages: readonly (readonly [string, string])[], user = 'root-of-all'): Promise<void> {
  const looks = lang === 'en' ? [{ ...wide, dark: false }, { ...narrow, dark: true }] : [{ ...narrow, dark: false }, { ...wide, dark: true }]
  const page = await world.page(user, { lang })
  const wrong: string[] = []
  for (const [name, path] of pages) {
    let loaded = false
    for (const { width, height, dark } of looks) {
      try {
        await page.setViewportSize({ width, height })
        await page.emulateMedia({ colorScheme: dark ? 'dark' : 'light' })
        if (!loaded) await page.goto(path)
        loaded = true
        await settled(page)
        await shot(page, `${name}-${lang}-${width}`)
        await fits(page)
        await accessible(page)
        world.clean()
      } catch (error) {
        wrong.push(`${name} at ${width} pixels: ${error instanceof Error ? error.message : String(error)}`)
      }
    }
  }
  await page.context().close()
  expect(wrong).toEqual([])
}
