/**
 * A report as the measured part of a document. The document says between which markers it stands, so that its prose is
 * written by people and its figures never are. A comparison with other systems has markers of its own, and so has a run of
 * workloads on clusters alone.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { drawPictures } from './chart.ts'
import { COMPARE_WORKLOAD, contestsOf, tableOf, type Contest } from './comparison.ts'
import { formatNumber, formatSpread } from './format.ts'
import { formatConditions, type Report } from './report.ts'
import type { CaseResult } from './runner.ts'
import { findTargets } from './targets.ts'

export const BEGIN_MARKER = '<!-- measured: begin -->'
export const END_MARKER = '<!-- measured: end -->'
export const COMPARED_BEGIN_MARKER = '<!-- compared: begin -->'
export const COMPARED_END_MARKER = '<!-- compared: end -->'
export const CLUSTER_BEGIN_MARKER = '<!-- cluster: begin -->'
export const CLUSTER_END_MARKER = '<!-- cluster: end -->'

const isComparison = ({ cases }: Report): boolean =>
  cases.length > 0 && cases.every(({ workload }) => workload === COMPARE_WORKLOAD)

/** Of several brokers. */
const isOnCluster = ({ cases }: Report): boolean =>
  cases.length > 0 && cases.every(({ workload }) => /^(cluster-|fail-over$|groups$)/.test(workload))

function markersOf(report: Report): readonly [string, string] {
  if (isComparison(report)) return [COMPARED_BEGIN_MARKER, COMPARED_END_MARKER]
  return isOnCluster(report) ? [CLUSTER_BEGIN_MARKER, CLUSTER_END_MARKER] : [BEGIN_MARKER, END_MARKER]
}

/**
 * Replaces what stands between the markers of the document, and writes its pictures beside it.
 *
 * @param note - What a reader must know of this run; stands above the figures.
 * @returns The paths that were written.
 * @throws {Error} If the document has not exactly one pair of markers.
 */
export function writeDocument(report: Report, path: string, note?: string): string[] {
  const pictures = drawPictures(report).map(({ name, svg }) => ({
    name: `${basename(path, '.md')}-${isOnCluster(report) ? 'cluster-' : ''}${name}.svg`,
    svg,
  }))
  const block = formatMarkdown(
    report,
    pictures.map(({ name }) => name),
    note,
  )
  const document = replaceBlock(readFileSync(path, 'utf8'), block, path, markersOf(report))
  const targets = pictures.map(({ name, svg }) => {
    const target = join(dirname(path), name)
    writeFileSync(target, svg)
    return target
  })
  writeFileSync(path, document)
  return [path, ...targets]
}

/** @throws {Error} As `writeDocument`. */
export function replaceBlock(
  document: string,
  block: string,
  path: string,
  [begin, end]: readonly [string, string] = [BEGIN_MARKER, END_MARKER],
): string {
  const parts = document.split(begin)
  const [before, after] = [parts[0]!, parts[1]?.split(end)]
  if (parts.length !== 2 || after?.length !== 2) {
    throw new Error(`Wrote measurements into ${path}: wanted one ${begin} and, below it, one ${end}`)
  }
  return `${before}${begin}\n\n${block}\n\n${end}${after[1]!}`
}

/** @param pictures - File names, beside the document. */
export function formatMarkdown(report: Report, pictures: readonly string[], note?: string): string {
  const { environment, startedAt, isToy, cases } = report
  const workloads = [...new Set(cases.map(({ workload }) => workload))]
  return [
    `Measured ${startedAt.slice(0, 16).replace('T', ' ')} UTC, commit ${environment.commit ?? 'unknown'}, Millrace ${environment.packageVersion}, Node ${environment.node}.`,
    `Machine: ${environment.processor}, ${environment.cores} cores, ${environment.memoryGiB} GiB, ${environment.volume}, ${environment.system}; load average ${formatNumber(environment.loadAverage)} when the run began.`,
    ...(isToy
      ? ['**Toy sizes: these figures show that the benchmark works, not how fast anything is.**']
      : []),
    ...(note === undefined ? [] : [note]),
    ...(isComparison(report) ? [] : formatTargets(report)),
    ...pictures.map((name) => `![${name.replace(/\.svg$/, '').replaceAll('-', ' ')}](${name})`),
    ...(isComparison(report) ? contestsOf(cases).flatMap(formatContest) : []),
    ...workloads
      .filter((workload) => workload !== COMPARE_WORKLOAD)
      .flatMap((workload) => [
        `### ${workload}`,
        formatCases(cases.filter((each) => each.workload === workload)),
      ]),
  ].join('\n\n')
}

function formatTargets(report: Report): string[] {
  const rows = findTargets(report).flatMap(({ target, measured, isReached }) =>
    measured === null ? [] : [[target, measured, isReached ? 'yes' : '**no**']],
  )
  if (rows.length === 0) return []
  return ['### Targets', markdownTable(['target', 'measured', 'reached?'], rows)]
}

/** Conditions are those of the first: the others have the same, but for who acknowledges. */
function formatContest(contest: Contest): string[] {
  const { header, rows } = tableOf(contest)
  const [first] = contest.results
  return [
    `#### ${contest.what}`,
    `${formatConditions({ ...first!.result.conditions, acks: null })}; median (min–max) of ${first!.result.repetitions}.`,
    markdownTable(header, rows),
  ]
}

function formatCases(cases: readonly CaseResult[]): string {
  const rows = cases.flatMap(({ name, conditions, repetitions, metrics }) =>
    metrics.map((metric, index) => [
      index === 0 ? name : '',
      index === 0 ? formatConditions(conditions) : '',
      metric.name,
      formatSpread(metric),
      metric.unit,
      index === 0 ? String(repetitions) : '',
    ]),
  )
  return markdownTable(['case', 'conditions', 'metric', 'median (min–max)', 'unit', 'runs'], rows)
}

/** Padded as prettier wants it, so that a written document passes the gate. */
function markdownTable(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const safe = rows.map((row) => row.map((cell) => cell.replaceAll('|', '\\|')))
  const widths = header.map((title, index) =>
    Math.max(3, title.length, ...safe.map((row) => row[index]!.length)),
  )
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell, index) => cell.padEnd(widths[index]!)).join(' | ')} |`
  return [line(header), line(widths.map((width) => '-'.repeat(width))), ...safe.map(line)].join('\n')
}
