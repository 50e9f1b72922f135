// The times of a schedule: daily and weekly ones in fields, all others as the five words of cron.

export type Times = { mode: 'daily' | 'weekly' | 'cron'; hour: number; minute: number; days: number[]; cron: string }

export const nightly: Times = { mode: 'daily', hour: 2, minute: 30, days: [1], cron: '30 2 * * *' }

// cronOf writes times as the API takes them; "" when a weekly one has no day.
export function cronOf(t: Times): string {
  switch (t.mode) {
    case 'daily':
      return `${t.minute} ${t.hour} * * *`
    case 'weekly':
      return t.days.length > 0 ? `${t.minute} ${t.hour} * * ${[...t.days].sort((a, b) => a - b).join(',')}` : ''
    case 'cron':
      return t.cron.trim()
  }
}

// timesOf reads what a schedule has, into fields where they can say it.
export function timesOf(cron: string): Times {
  const plain: Times = { ...nightly, mode: 'cron', cron }
  if (cron === '@daily' || cron === '@midnight') return { ...nightly, hour: 0, minute: 0, cron }
  if (cron === '@weekly') return { ...nightly, mode: 'weekly', hour: 0, minute: 0, days: [0], cron }
  const [minute, hour, day, month, week, ...rest] = cron.trim().split(/\s+/)
  if (rest.length > 0 || day !== '*' || month !== '*' || week === undefined) return plain
  const m = whole(minute, 59)
  const h = whole(hour, 23)
  if (m === undefined || h === undefined) return plain
  if (week === '*') return { ...nightly, mode: 'daily', hour: h, minute: m, cron }
  const days = daysOf(week)
  return days ? { mode: 'weekly', hour: h, minute: m, days, cron } : plain
}

function whole(text: string | undefined, most: number): number | undefined {
  if (!text || !/^\d{1,2}$/.test(text)) return undefined
  const n = Number(text)
  return n <= most ? n : undefined
}

// daysOf reads "1-5" or "1,3"; 7 is Sunday, as 0.
function daysOf(text: string): number[] | undefined {
  const out = new Set<number>()
  for (const piece of text.split(',')) {
    const [from, to = from, ...more] = piece.split('-')
    const a = whole(from, 7)
    const b = whole(to, 7)
    if (a === undefined || b === undefined || b < a || more.length > 0) return undefined
    for (let d = a; d <= b; d++) out.add(d % 7)
  }
  return [...out].sort((a, b) => a - b)
}

// clock writes 2:30 as "02:30".
export function clock(hour: number, minute: number): string {
  return `${String(hour).padStart(2, '0')}:${String(minute).padStart(2, '0')}`
}

// readClock reads what a time field holds; undefined for anything else.
export function readClock(text: string): { hour: number; minute: number } | undefined {
  const m = /^(\d{1,2}):(\d{2})/.exec(text)
  const hour = whole(m?.[1], 23)
  const minute = whole(m?.[2], 59)
  return hour === undefined || minute === undefined ? undefined : { hour, minute }
}

// zones lists the time zones that the browser knows, its own first.
export function zones(): string[] {
  const own = Intl.DateTimeFormat().resolvedOptions().timeZone
  return [...new Set([own, 'UTC', ...Intl.supportedValuesOf('timeZone')].filter(Boolean))]
}
