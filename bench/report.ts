/**
 * A run's result: as tables on the terminal and as one JSON file, from which charts and comparisons are made.
 *
 *   { version: 1, startedAt, isToy, environment, cases: [ { workload, name, conditions, metrics, latency, ... } ] }
 *
 * A change of this form is a new version: readers refuse what they do not know.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Environment } from './environment.ts'
import { formatBytes, formatNumber, formatSpread, formatTable } from './format.ts'
import type { CaseResult } from './runner.ts'
import { findTargets } from './targets.ts'
import type { Conditions } from './workload.ts'

export interface Report {
  readonly version: 1
  /** ISO 8601, UTC. */
  readonly startedAt: string
  readonly isToy: boolean
  readonly environment: Environment
  readonly cases: readonly CaseResult[]
}

/** The whole report as text: what it was measured on first. */
export function formatReport({ environment, isToy, startedAt, cases }: Report): string {
  const lines = [
    `${environment.processor}, ${environment.cores} cores, ${environment.memoryGiB} GiB, ${environment.volume}`,
    `${environment.system}, Node ${environment.node}, Millrace ${environment.packageVersion} (${environment.commit ?? 'no commit'})`,
    `${startedAt}; median (min–max) over the repetitions; MB = 10^6 bytes`,
  ]
  if (isToy) lines.push('Toy sizes: these figures show that the benchmark works, not how fast anything is.')
  for (const workload of new Set(cases.map((each) => each.workload))) {
    lines.push('', workload, formatCases(cases.filter((each) => each.workload === workload)))
  }
  return lines.join('\n')
}

/** The targets that this run measured something for; empty when there is none. */
export function formatTargets(report: Report): string {
  const rows = findTargets(report).flatMap(({ target, measured, isReached }) =>
    measured === null ? [] : [[isReached ? 'yes' : 'NO', target, measured]],
  )
  return rows.length === 0 ? '' : formatTable(['reached?', 'target', 'measured'], rows)
}

function formatCases(cases: readonly CaseResult[]): string {
  const rows = cases.flatMap(({ name, conditions, repetitions, metrics, workHash }) =>
    metrics.map((metric, index) => {
      const isFirst = index === 0
      return [
        isFirst ? name : '',
        isFirst ? formatConditions(conditions) : '',
        metric.name,
        formatSpread(metric),
        metric.unit,
        isFirst ? String(repetitions) : '',
        isFirst ? workHash : '',
      ]
    }),
  )
  return formatTable(['case', 'conditions', 'metric', 'value', 'unit', 'runs', 'work'], rows)
}

export function formatConditions(conditions: Conditions): string {
  const { durability, acks, recordBytes, inFlightMax, inFlightBytesMax, replicas } = conditions
  const { partitions, transport, ratePerSecond } = conditions
  return [
    transport,
    durability,
    acks === null ? null : `acks ${acks}`,
    recordBytes === null ? null : formatBytes(recordBytes),
    inFlightMax === null ? null : `${inFlightMax} in flight`,
    inFlightBytesMax === null ? null : `${formatBytes(inFlightBytesMax)} in flight`,
    ratePerSecond === null ? null : `${formatNumber(ratePerSecond)} a second`,
    partitions === null ? null : plural(partitions, 'partition'),
    replicas === null ? null : plural(replicas, 'replica'),
  ]
    .filter((part) => part !== null)
    .join(', ')
}

const plural = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? '' : 's'}`

/** Writes the JSON file; its name says when and of which commit. Returns its path. */
export function writeReport(report: Report, directory: string): string {
  mkdirSync(directory, { recursive: true })
  const time = report.startedAt.replace(/[:.]/g, '-')
  const path = join(
    directory,
    `${time}-${report.environment.commit ?? report.environment.packageVersion}.json`,
  )
  writeFileSync(path, `${JSON.stringify(report, null, 1)}\n`)
  return path
}

/** @throws {Error} If the file is no report of this version. */
export function readReport(path: string): Report {
  const report = JSON.parse(readFileSync(path, 'utf8')) as { readonly version?: unknown }
  if (report.version !== 1) {
    throw new Error(`Read benchmark report ${path}: version ${String(report.version)}, wanted 1`)
  }
  return report as Report
}
