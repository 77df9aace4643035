/**
 * What a run of `compare` found: a table for each thing that was measured, every system against the first.
 *
 * The cases of such a run are named `<system>: <what>`.
 */
import { findCaseDifferences, UnlikeError } from './diff.ts'
import { formatNumber, formatSpread, formatTable } from './format.ts'
import type { CaseResult } from './runner.ts'

export const COMPARE_WORKLOAD = 'compare'
export const SEPARATOR = ': '

/** One thing that was measured of every system. */
export interface Contest {
  readonly what: string
  readonly results: readonly { readonly system: string; readonly result: CaseResult }[]
}

/** @throws {UnlikeError} If systems were measured under different conditions. */
export function contestsOf(cases: readonly CaseResult[]): Contest[] {
  const contests = new Map<string, { system: string; result: CaseResult }[]>()
  for (const result of cases.filter(({ workload }) => workload === COMPARE_WORKLOAD)) {
    const at = result.name.indexOf(SEPARATOR)
    const [system, what] = [result.name.slice(0, at), result.name.slice(at + SEPARATOR.length)]
    contests.set(what, [...(contests.get(what) ?? []), { system, result }])
  }
  return [...contests].map(([what, results]) => {
    requireAlike(results.map(({ result }) => result))
    return { what, results }
  })
}

/** All of it as text. @throws {UnlikeError} See `contestsOf`. */
export function formatComparison(cases: readonly CaseResult[]): string {
  return contestsOf(cases)
    .map((contest) => {
      const { header, rows } = tableOf(contest)
      return `${contest.what}\n${formatTable(header, rows)}`
    })
    .join('\n\n')
}

/** @throws {UnlikeError} If they differ in what must be alike. */
export function requireAlike([first, ...others]: readonly CaseResult[]): void {
  if (first === undefined) return
  const differences = others.flatMap((other) => {
    // Who acknowledges is told in the table; it may differ only if the first promises at least as much.
    const acks = first.conditions.acks === 'all' ? first.conditions.acks : other.conditions.acks
    return findCaseDifferences(first, { ...other, conditions: { ...other.conditions, acks } })
  })
  if (differences.length > 0) throw new UnlikeError(`Compared unlike systems:\n  ${differences.join('\n  ')}`)
}

/** Metrics of a table, as far as they were measured; the first one is what systems are ranked by. */
const COLUMNS = [
  ['records', '1/s'],
  ['throughput', 'MB/s'],
  ['p50', 'µs'],
  ['p99', 'µs'],
  ['client cores', 'cores'],
  ['brokers cores', 'cores'],
  ['brokers RSS peak', 'MB'],
] as const

export function tableOf({ results }: Contest): { header: string[]; rows: string[][] } {
  const find = (result: CaseResult, name: string, unit: string) =>
    result.metrics.find((metric) => metric.name === name && metric.unit === unit)
  const columns = COLUMNS.filter(([name, unit]) => results.some(({ result }) => find(result, name, unit)))
  const [rank] = columns
  const median = (result: CaseResult | undefined): number | null =>
    rank === undefined || result === undefined ? null : (find(result, rank[0], rank[1])?.median ?? null)
  const base = median(results[0]?.result)
  const header = ['system', 'acks', ...columns.map(([name, unit]) => `${name}, ${unit}`), 'against the first']
  const rows = results.map(({ system, result }) => {
    const own = median(result)
    return [
      system,
      String(result.conditions.acks),
      ...columns.map(([name, unit]) => {
        const metric = find(result, name, unit)
        return metric === undefined ? '' : formatSpread(metric)
      }),
      own === null || base === null ? '' : `×${formatNumber(own / base)}`,
    ]
  })
  return { header, rows }
}
