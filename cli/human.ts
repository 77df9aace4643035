/**
 * Numbers, times and sizes for people. Machines get exact numbers (output.ts decides who is who). Locale data is not
 * used: the same number looks the same on every system.
 */

const SECOND_MS = 1000
const MINUTE_MS = 60 * SECOND_MS
const HOUR_MS = 60 * MINUTE_MS
const DAY_MS = 24 * HOUR_MS

/** The last moment that `Date` knows, in ms. */
const DATE_MS_MAX = 8.64e15

/** `1234567` as `1,234,567`. */
export function humanCount(count: number): string {
  const [whole, fraction] = String(count).split('.') as [string, string?]
  const grouped = whole.replace(/\B(?=(\d{3})+$)/g, ',')
  return fraction === undefined ? grouped : `${grouped}.${fraction}`
}

/** `1 record`, `2 records`: a count with its noun. */
export function counted(count: number, noun: string, plural = `${noun}s`): string {
  return `${humanCount(count)} ${count === 1 ? noun : plural}`
}

/** `1536` as `1.5 KiB`; three digits are enough to compare by eye. */
export function humanBytes(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB']
  let value = bytes
  let unit = 0
  while (Math.abs(value) >= 1023.95 && unit < units.length - 1) {
    value /= 1024
    unit++
  }
  return `${unit === 0 ? value : Number(value.toPrecision(value < 100 ? 2 : 4).slice(0, 5))} ${units[unit]!}`
}

/** `0.84 s`, `12 s`, `3 min 20 s`, `2 h 5 min`, `7 d`. */
export function humanDuration(ms: number): string {
  if (ms < 10 * SECOND_MS) return `${Number((ms / SECOND_MS).toFixed(ms < SECOND_MS ? 2 : 1))} s`
  const whole = Math.round(ms / SECOND_MS) * SECOND_MS
  const parts: [number, string][] = [
    [Math.floor(whole / DAY_MS), 'd'],
    [Math.floor((whole % DAY_MS) / HOUR_MS), 'h'],
    [Math.floor((whole % HOUR_MS) / MINUTE_MS), 'min'],
    [(whole % MINUTE_MS) / SECOND_MS, 's'],
  ]
  const first = parts.findIndex(([count]) => count > 0)
  return parts
    .slice(first, first + 2)
    .filter(([count]) => count > 0)
    .map(([count, unit]) => `${count} ${unit}`)
    .join(' ')
}

/** ISO 8601 in UTC with ms; `-` for a record without a timestamp; the number itself when no calendar reaches it. */
export function isoTime(timestampMs: number): string {
  if (timestampMs < 0) return '-'
  return timestampMs <= DATE_MS_MAX ? new Date(timestampMs).toISOString() : String(timestampMs)
}
