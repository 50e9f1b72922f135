// Numbers, dates and durations in the user's language and time zone. Nothing else in the console formats them.
import i18next from 'i18next'
import { useTranslation } from 'react-i18next'

const tag = () => (i18next.language === 'zh' ? 'zh-CN' : 'en')

// zone is an IANA name; empty is the browser's.
let zone = (typeof localStorage !== 'undefined' && localStorage.getItem('zone')) || ''
export const timeZone = () => zone
export function setTimeZone(name: string) {
  zone = name
}

const made = new Map<string, Intl.DateTimeFormat>()
function dates(options: Intl.DateTimeFormatOptions): Intl.DateTimeFormat {
  const all = { ...options, timeZone: zone || undefined }
  const key = tag() + JSON.stringify(all)
  let f = made.get(key)
  if (!f) made.set(key, (f = new Intl.DateTimeFormat(tag(), all)))
  return f
}

type When = string | number | Date

// missing reports whether the server has no such time: it writes the year 1, or nothing.
export function missing(at: When | undefined | null): boolean {
  return at === undefined || at === null || at === '' || Number.isNaN(new Date(at).getTime()) || new Date(at).getTime() <= 0
}

export function date(at: When): string {
  return dates({ year: 'numeric', month: 'short', day: 'numeric' }).format(new Date(at))
}

export function dateTime(at: When): string {
  return dates({ year: 'numeric', month: 'short', day: 'numeric', hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23', timeZoneName: 'short' }).format(new Date(at))
}

const steps: [Intl.RelativeTimeFormatUnit, number][] = [
  ['year', 31_536_000],
  ['month', 2_592_000],
  ['week', 604_800],
  ['day', 86_400],
  ['hour', 3600],
  ['minute', 60],
  ['second', 1],
]

// relative says "3 hours ago" or "in 2 days".
export function relative(at: When, now: number = Date.now()): string {
  const seconds = Math.round((new Date(at).getTime() - now) / 1000)
  const f = new Intl.RelativeTimeFormat(tag(), { numeric: 'auto' })
  for (const [unit, size] of steps) {
    if (Math.abs(seconds) >= size) return f.format(Math.trunc(seconds / size), unit)
  }
  return f.format(0, 'second')
}

export function number(n: number, options?: Intl.NumberFormatOptions): string {
  return new Intl.NumberFormat(tag(), options).format(n)
}

// compact writes 12,345 as 12K (1.2万) where there is no room.
export function compact(n: number): string {
  return number(n, { notation: 'compact', maximumFractionDigits: 1 })
}

export function percent(share: number): string {
  return number(share, { style: 'percent', maximumFractionDigits: share !== 0 && Math.abs(share) < 0.1 ? 1 : 0 })
}

export function bytes(n: number): string {
  const units = ['byte', 'kilobyte', 'megabyte', 'gigabyte', 'terabyte'] as const
  let i = 0
  for (; n >= 1024 && i < units.length - 1; i++) n /= 1024
  return number(n, { style: 'unit', unit: units[i], unitDisplay: 'short', maximumFractionDigits: n < 10 && i > 0 ? 1 : 0 })
}

// duration writes milliseconds as "2 min 5 s".
export function duration(ms: number): string {
  const unit = (n: number, u: string) => number(n, { style: 'unit', unit: u, unitDisplay: 'short', maximumFractionDigits: u === 'second' && n < 10 ? 1 : 0 })
  const seconds = ms / 1000
  if (seconds < 60) return unit(Math.max(0, seconds), 'second')
  if (seconds < 3600) return [unit(Math.floor(seconds / 60), 'minute'), ...(Math.floor(seconds % 60) ? [unit(Math.floor(seconds % 60), 'second')] : [])].join(' ')
  if (seconds < 86_400) return [unit(Math.floor(seconds / 3600), 'hour'), ...(Math.floor((seconds % 3600) / 60) ? [unit(Math.floor((seconds % 3600) / 60), 'minute')] : [])].join(' ')
  return unit(Math.floor(seconds / 86_400), 'day')
}

export function list(words: string[]): string {
  return new Intl.ListFormat(tag(), { type: 'conjunction' }).format(words)
}

// useFormat gives the same functions to components, which are drawn again when the language changes.
export function useFormat() {
  useTranslation()
  return { date, dateTime, relative, number, compact, percent, bytes, duration, list }
}
