/**
 * Compares two reports, and refuses to compare unlike with unlike: a ratio of figures from different machines,
 * durability settings, sizes or amounts of work says nothing and is quoted all the same.
 *
 * Versions of Node and of Millrace may differ: that is what comparisons are for.
 */
import { MACHINE_PARTS } from './environment.ts'
import { formatNumber, formatSpread, formatTable } from './format.ts'
import type { Report } from './report.ts'
import type { CaseResult } from './runner.ts'
import { NO_CONDITIONS, type Conditions } from './workload.ts'

/** Thrown instead of a comparison; the message lists what differs, one thing per line. */
export class UnlikeError extends Error {
  override readonly name = 'UnlikeError'
  readonly code = 'BENCH_UNLIKE'
}

const CONDITION_NAMES = Object.keys(NO_CONDITIONS) as (keyof Conditions)[]

/** What forbids to compare two reports: differences of machine and size, then of each case that both have. */
export function findDifferences(before: Report, after: Report): string[] {
  const machine = MACHINE_PARTS.flatMap((part) =>
    difference(part, before.environment[part], after.environment[part]),
  )
  const cases = pairCases(before, after).flatMap(([a, b]) => findCaseDifferences(a, b))
  return [...machine, ...difference('toy sizes', before.isToy, after.isToy), ...cases]
}

/** What forbids to compare two cases, as between a broker and a peer measured in one run. */
export function findCaseDifferences(a: CaseResult, b: CaseResult): string[] {
  const label = `${a.workload}, ${a.name === b.name ? a.name : `${a.name} and ${b.name}`}`
  return CONDITION_NAMES.flatMap((name) =>
    difference(`${label}: ${name}`, a.conditions[name], b.conditions[name]),
  )
}

/**
 * Compares all cases that both reports have, as a table. A change is called one only where the ranges of the
 * repetitions do not overlap.
 *
 * @throws {UnlikeError} If something differs that must not, or no case is in both.
 */
export function diffReports(before: Report, after: Report): string {
  const differences = findDifferences(before, after)
  const pairs = pairCases(before, after)
  for (const [a, b] of pairs) {
    if (differences.length === 0)
      differences.push(...difference(`${a.workload}, ${a.name}: work`, a.workHash, b.workHash))
  }
  if (pairs.length === 0) differences.push('no case is in both reports')
  if (differences.length > 0) throw new UnlikeError(`Compared unlike runs:\n  ${differences.join('\n  ')}`)

  const rows = pairs.flatMap(([a, b]) =>
    a.metrics.flatMap((metric) => {
      const other = b.metrics.find(({ name, unit }) => name === metric.name && unit === metric.unit)
      if (!other) return []
      const isApart = other.min > metric.max || other.max < metric.min
      const isBetter = other.median > metric.median === (metric.better === 'higher')
      return [
        [
          `${a.workload}, ${a.name}`,
          metric.name,
          formatSpread(metric),
          formatSpread(other),
          metric.unit,
          `×${formatNumber(other.median / metric.median)}`,
          isApart ? (isBetter ? 'better' : 'worse') : 'within the spread',
        ],
      ]
    }),
  )
  return formatTable(['case', 'metric', 'before', 'after', 'unit', 'ratio', 'verdict'], rows)
}

function pairCases(before: Report, after: Report): [CaseResult, CaseResult][] {
  return before.cases.flatMap((a) => {
    const b = after.cases.find(({ workload, name }) => workload === a.workload && name === a.name)
    return b ? [[a, b] as [CaseResult, CaseResult]] : []
  })
}

function difference(
  what: string,
  a: string | number | boolean | null,
  b: string | number | boolean | null,
): string[] {
  return a === b ? [] : [`${what}: ${String(a)} against ${String(b)}`]
}
