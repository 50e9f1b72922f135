// When an exception ends: after some days, on a date, when a fix is known, or never where the settings allow that.
export type Expiry = { how: 'days'; days: number } | { how: 'date'; date: string } | { how: 'none' }

// lastDay is the last day (UTC) that is covered, as the API takes it.
export function lastDay(e: Expiry, now: Date = new Date()): string | undefined {
  switch (e.how) {
    case 'days':
      return new Date(now.getTime() + e.days * 86_400_000).toISOString().slice(0, 10)
    case 'date':
      return e.date || undefined
    case 'none':
      return undefined
  }
}

export type ExpiryFault = 'past' | 'long' | 'needed' | 'unlimited'

// fault says why the settings do not allow an end.
export function fault(e: Expiry, settings: { maxDays: number; allowUnlimited: boolean }, now: Date = new Date()): ExpiryFault | undefined {
  const day = lastDay(e, now)
  if (e.how === 'none') return settings.allowUnlimited ? undefined : 'unlimited'
  if (!day || Number.isNaN(Date.parse(day)) || (e.how === 'days' && e.days < 1)) return 'needed'
  if (day < now.toISOString().slice(0, 10)) return 'past'
  const longest = new Date(now.getTime() + settings.maxDays * 86_400_000).toISOString().slice(0, 10)
  return day > longest ? 'long' : undefined
}
