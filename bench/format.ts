/** Numbers, spreads and tables as the benchmark prints them; without locales, so that output is the same everywhere. */

/** A sample of one figure over the repetitions of a run. */
export interface Spread {
  readonly median: number
  readonly min: number
  readonly max: number
}

/** @param values - At least one. */
export function spreadOf(values: readonly number[]): Spread {
  const sorted = Float64Array.from(values).sort()
  const middle = sorted.length >> 1
  const median = sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
  return { median, min: sorted[0]!, max: sorted[sorted.length - 1]! }
}

/** Three significant digits; whole numbers from 100 on, their thousands apart. */
export function formatNumber(value: number): string {
  const magnitude = Math.abs(value)
  if (magnitude >= 1000) return String(Math.round(value)).replace(/\B(?=(\d{3})+$)/g, ' ')
  return value.toFixed(magnitude >= 100 ? 0 : magnitude >= 10 ? 1 : magnitude >= 1 || value === 0 ? 2 : 3)
}

/** The median and, when there was more than one repetition, the range: `512 (490–530)`. */
export function formatSpread({ median, min, max }: Spread): string {
  if (min === max) return formatNumber(median)
  return `${formatNumber(median)} (${formatNumber(min)}–${formatNumber(max)})`
}

/** Bytes in binary units: `64 KiB`. */
export function formatBytes(bytes: number): string {
  for (const [unit, size] of [
    ['GiB', 2 ** 30] as const,
    ['MiB', 2 ** 20] as const,
    ['KiB', 2 ** 10] as const,
  ]) {
    if (bytes >= size) return `${formatNumber(bytes / size).replace(/\.0+$/, '')} ${unit}`
  }
  return `${bytes} B`
}

/** A duration in ns, in the unit that suits it: `12.5 µs`. */
export function formatDuration(ns: number): string {
  if (ns >= 1e9) return `${formatNumber(ns / 1e9)} s`
  if (ns >= 1e6) return `${formatNumber(ns / 1e6)} ms`
  if (ns >= 1e3) return `${formatNumber(ns / 1e3)} µs`
  return `${formatNumber(ns)} ns`
}

/** Aligned columns: figures to the right, everything else to the left. */
export function formatTable(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const columns = header.map((title, index) => {
    const cells = rows.map((row) => row[index]!)
    const isFigures = cells.every((cell) => /^(×?[\d.]|$)/.test(cell)) && cells.some((cell) => cell !== '')
    return { width: Math.max(title.length, ...cells.map((cell) => cell.length)), isFigures }
  })
  const line = (cells: readonly string[]) =>
    cells
      .map((cell, index) => {
        const { width, isFigures } = columns[index]!
        return isFigures ? cell.padStart(width) : cell.padEnd(width)
      })
      .join('  ')
      .trimEnd()
  return [line(header), columns.map(({ width }) => '-'.repeat(width)).join('  '), ...rows.map(line)].join(
    '\n',
  )
}
