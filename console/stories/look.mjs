// Takes a picture of a page of a running server, for who works on the console:
//   node stories/look.mjs URL setup TOKEN                        makes the first account (admin)
//   node stories/look.mjs URL PATH OUT.png [zh] [390] [dark] [full]
// The password is in $STOCKADE_PASSWORD, "stories need a password" by default.
import { chromium } from 'playwright-core'

const [url, path, out, ...more] = process.argv.slice(2)
const password = process.env.STOCKADE_PASSWORD ?? 'stories need a password'
const lang = more.includes('zh') ? 'zh' : 'en'
const width = Number(more.find((m) => /^\d+$/.test(m)) ?? 1280)
const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox', '--disable-quic'] })
const context = await browser.newContext({ ignoreHTTPSErrors: true, baseURL: url, viewport: { width, height: width < 600 ? 844 : 900 }, colorScheme: more.includes('dark') ? 'dark' : 'light', locale: lang === 'zh' ? 'zh-CN' : 'en-US' })
if (path === 'setup') {
  const answer = await context.request.post('/api/v1/setup', { data: { token: out, name: 'admin', password } })
  console.log(answer.status(), await answer.text())
} else {
  const answer = await context.request.post('/api/v1/session', { data: { name: 'admin', password } })
  if (!answer.ok()) console.log('sign-in', answer.status(), await answer.text())
  await context.request.patch('/api/v1/session', { data: { language: lang } })
  await context.addInitScript((l) => localStorage.setItem('language', l), lang)
  const page = await context.newPage()
  page.on('console', (m) => ['error', 'warning'].includes(m.type()) && console.log(m.type(), m.text()))
  page.on('pageerror', (e) => console.log('pageerror', e.message))
  await page.goto(path)
  await page.locator('h1').first().waitFor({ timeout: 20_000 }).catch(() => console.log('no h1'))
  await page.waitForFunction(() => document.querySelectorAll('.ant-skeleton-active, .ant-spin-spinning').length === 0, null, { timeout: 15_000 }).catch(() => console.log('still loading'))
  await page.screenshot({ path: out, fullPage: more.includes('full') })
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)
  if (wide > 0) console.log(`wider than the window by ${wide}`)
}
await browser.close()
