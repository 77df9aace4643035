/** One thing that Millrace set out to reach, and whether a run reached it. */
import { formatNumber } from './format.ts'

export interface TargetResult {
  readonly target: string
  /** What was measured, as text; null when the run has not measured it. */
  readonly measured: string | null
  readonly isReached: boolean
}

/** The median of a metric; `name` is how the case's name begins. Null: not measured. */
export type Reader = (workload: string, name: string, metric: string, unit: string) => number | null

export function atLeast(what: string, wanted: number, unit: string, value: number | null): TargetResult {
  return {
    target: `${what}: at least ${formatNumber(wanted)} ${unit}`,
    measured: value === null ? null : `${formatNumber(value)} ${unit}`,
    isReached: value !== null && value >= wanted,
  }
}

export function below(
  what: string,
  wanted: number,
  unit: string,
  value: number | null,
  note = '',
): TargetResult {
  return {
    target: `${what}: under ${wanted} ${unit}`,
    measured: value === null ? null : `${formatNumber(value)} ${unit}${note === '' ? '' : ` (${note})`}`,
    isReached: value !== null && value < wanted,
  }
}

export function atMost(
  what: string,
  wanted: number,
  unit: string,
  value: number | null,
  note = '',
): TargetResult {
  const { measured } = below(what, wanted, unit, value, note)
  return {
    target: `${what}: at most ${wanted} ${unit}`,
    measured,
    isReached: value !== null && value <= wanted,
  }
}

/** Two figures of one run against each other: a share that one is to have of the other, in percent. */
export function atLeastShare(
  what: string,
  ofWhat: string,
  wanted: number,
  unit: string,
  part: number | null,
  whole: number | null,
): TargetResult {
  const share = part === null || whole === null ? null : part / whole
  return {
    target: `${what}: at least ${100 * wanted} % of ${ofWhat}`,
    measured:
      share === null
        ? null
        : `${formatNumber(100 * share)} %: ${formatNumber(part!)} of ${formatNumber(whole!)} ${unit}`,
    isReached: share !== null && share >= wanted,
  }
}
