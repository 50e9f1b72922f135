// Measures how the console loads in a real browser with a cold cache: node stories/load.mjs URL [RUNS]
// Prints one JSON line a page: medians in milliseconds, bytes as they cross the wire.
import { chromium } from 'playwright-core'

const [url, runs = '5'] = process.argv.slice(2)
const password = process.env.STOCKADE_PASSWORD ?? 'stories need a password'
const user = process.env.STOCKADE_USER ?? 'admin'
const pages = [
  ['sign-in', '/sign-in', 'form button[type=submit]'],
  ['overview', '/', 'main h1'],
  ['risks', '/risks', 'main table tbody tr[data-index]'],
  ['finding list', '/risks?view=findings', 'main table tbody tr[data-index]'],
]
const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox', '--disable-quic'] })
const median = (list) => list.toSorted((a, b) => a - b)[Math.floor(list.length / 2)]

for (const [name, path, ready] of pages) {
  const results = []
  for (let i = 0; i < Number(runs); i++) {
    const context = await browser.newContext({ ignoreHTTPSErrors: true, baseURL: url, viewport: { width: 1280, height: 900 } })
    if (path !== '/sign-in') {
      const answer = await context.request.post('/api/v1/session', { data: { name: user, password } })
      if (!answer.ok()) throw new Error(`sign-in: ${answer.status()}`)
    }
    const page = await context.newPage()
    const cdp = await context.newCDPSession(page)
    await cdp.send('Network.enable')
    await cdp.send('Network.clearBrowserCache')
    const kinds = new Map()
    const bytes = { Script: 0, Stylesheet: 0, other: 0 }
    let requests = 0
    cdp.on('Network.responseReceived', (e) => kinds.set(e.requestId, e.type))
    let counting = true
    cdp.on('Network.loadingFinished', (e) => {
      if (!counting) return
      requests++
      const kind = kinds.get(e.requestId)
      bytes[kind in bytes ? kind : 'other'] += e.encodedDataLength
    })
    await page.addInitScript(() => {
      globalThis.shift = 0
      globalThis.busy = 0
      new PerformanceObserver((list) => list.getEntries().forEach((e) => !e.hadRecentInput && (globalThis.shift += e.value))).observe({ type: 'layout-shift', buffered: true })
      new PerformanceObserver((list) => list.getEntries().forEach((e) => (globalThis.busy = Math.max(globalThis.busy, e.startTime + e.duration)))).observe({ type: 'longtask', buffered: true })
    })
    await page.goto(path, { waitUntil: 'commit' })
    await page.locator(ready).first().waitFor()
    const shown = await page.evaluate(() => performance.now())
    const scripts = bytes.Script // what had to be there before the page could be used
    await page.waitForLoadState('networkidle').catch(() => {})
    counting = false
    const more = await page.evaluate(() => ({
      paint: performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? 0,
      busy: globalThis.busy,
      shift: globalThis.shift,
    }))
    // Interactive: what the page is for is there, and no long task that began before runs any more.
    results.push({ paint: more.paint, interactive: Math.max(shown, Math.min(more.busy, shown + 5000)), shown, scripts, allScripts: bytes.Script, styles: bytes.Stylesheet, requests, shift: more.shift })
    await context.close()
  }
  const of = (key) => median(results.map((r) => r[key]))
  console.log(JSON.stringify({ page: name, paint: Math.round(of('paint')), shown: Math.round(of('shown')), interactive: Math.round(of('interactive')), initialScriptKB: Math.round(of('scripts') / 1024), allScriptKB: Math.round(of('allScripts') / 1024), styleKB: Math.round(of('styles') / 1024), requests: of('requests'), layoutShift: Number(of('shift').toFixed(4)) }))
}
await browser.close()
