#!/usr/bin/env node
/**
 * The benchmark's command line: runs workloads, puts systems side by side, tells two reports apart, draws charts of one, writes
 * one into a document.
 *
 * `npm run bench -- --toy` runs everything at toy size, as the gate does; `npm run bench -- limits` one workload;
 * `npm run bench -- produce --only 'WebSocket, 1 KiB' --profile` shows where the time of one case goes.
 *
 * Ctrl-C ends the run in order: processes are stopped and measured files removed before this one ends.
 */
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { Command, InvalidArgumentError, Option } from 'commander'
import { drawCharts, drawPictures } from './chart.ts'
import { compareWorkload, SYSTEMS, type Absence } from './compare.ts'
import { formatComparison } from './comparison.ts'
import { diffReports } from './diff.ts'
import { describeEnvironment } from './environment.ts'
import { writeDocument } from './markdown.ts'
import { installPeers } from './peers/install.ts'
import { formatProfiles } from './profile/profile.ts'
import { formatReport, formatTargets, readReport, writeReport, type Report } from './report.ts'
import { runWorkload, type CaseResult } from './runner.ts'
import type { Durability, Workload } from './workload.ts'
import { workloads } from './workloads.ts'

/** Rounds of a real run: an odd number, so that the median is a figure that was measured. */
const REPETITIONS_DEFAULT = 5
const RESULTS_DIRECTORY = 'bench-results'
const PACKAGES_DIRECTORY = 'bench-results/packages'
/** Of a shell's convention: 128 and the number of SIGINT. */
const INTERRUPTED_EXIT_CODE = 130

interface RunCommandOptions {
  readonly toy: boolean
  readonly repeat?: number
  readonly durability: Durability
  readonly only: string
  readonly profile: boolean
  readonly dataDir: string
  readonly results: string
}

const names = workloads.map(({ name }) => name)
const program = new Command('bench').description('Measures Millrace, and the machine it runs on.')

program
  .command('run', { isDefault: true })
  .description('runs workloads and writes a report')
  .argument('[workload...]', `any of: ${names.join(', ')}; all when none is named`)
  .option('--toy', 'small sizes, one repetition: shows that the workloads work', false)
  .option('--repeat <count>', `repetitions of every case (${REPETITIONS_DEFAULT}; 1 at toy size)`, parseCount)
  .addOption(
    new Option('--durability <name>', 'of the topics that are measured')
      .choices(['disk', 'os', 'memory'])
      .default('disk'),
  )
  .option('--only <text>', 'only cases whose names contain this', '')
  .option('--profile', 'record CPU profiles of broker and load generators; one repetition', false)
  .option(
    '--data-dir <path>',
    'where measured files go: this is the volume that is measured',
    RESULTS_DIRECTORY,
  )
  .option('--results <path>', 'where the report goes', RESULTS_DIRECTORY)
  .action(run)

program
  .command('compare')
  .description('measures Millrace and other systems side by side, those whose packages are installed')
  .argument(
    '[system...]',
    `parts of names of: ${SYSTEMS.map(({ name }) => name).join('; ')}; all when none is given`,
  )
  .option('--toy', 'small sizes, one repetition: shows that the systems can be driven', false)
  .option('--repeat <count>', `repetitions of every case (${REPETITIONS_DEFAULT}; 1 at toy size)`, parseCount)
  .addOption(
    new Option('--durability <name>', 'what a replica has done when it confirms')
      .choices(['disk', 'os'])
      .default('os'),
  )
  .option('--only <text>', 'only cases whose names contain this', '')
  .option(
    '--data-dir <path>',
    'where measured files go: this is the volume that is measured',
    RESULTS_DIRECTORY,
  )
  .option('--results <path>', 'where the report goes', RESULTS_DIRECTORY)
  .option('--packages <path>', 'where install-peers has put packages', PACKAGES_DIRECTORY)
  .action(compare)

program
  .command('install-peers')
  .description('installs what compare needs and Debian does not package')
  .option('--packages <path>', 'where to', PACKAGES_DIRECTORY)
  .action(({ packages }: { readonly packages: string }) =>
    installPeers(resolve(packages), (text) => console.log(text)),
  )

program
  .command('diff')
  .description('tells how two reports of one machine differ, or says why they cannot be compared')
  .argument('<before>', 'a report')
  .argument('<after>', 'a report')
  .action((before: string, after: string) => console.log(diffReports(readReport(before), readReport(after))))

program
  .command('chart')
  .description('draws a report as SVG files beside it')
  .argument('<report>', 'a report')
  .action((path: string) => {
    for (const { name, svg } of drawCharts(readReport(path))) {
      const target = join(dirname(path), `${basename(path, '.json')}-${name}.svg`)
      writeFileSync(target, svg)
      console.log(target)
    }
  })

program
  .command('report')
  .description('prints a report, or writes it between the markers of a document, with its pictures')
  .argument('<report>', 'a report')
  .option('--write <document>', 'such as docs/performance.md')
  .option('--note <text>', 'what a reader must know of this run, such as what else the machine was doing')
  .action((path: string, { write, note }: { readonly write?: string; readonly note?: string }) => {
    const report = readReport(path)
    if (write === undefined) console.log(`${formatReport(report)}\n\n${formatTargets(report)}`)
    else console.log(writeDocument(report, write, note).join('\n'))
  })

const interruption = new AbortController()

interface CompareCommandOptions extends Omit<RunCommandOptions, 'profile'> {
  readonly packages: string
}

async function run(wanted: readonly string[], options: RunCommandOptions): Promise<void> {
  const unknown = wanted.filter((name) => !names.includes(name))
  if (unknown.length > 0) program.error(`Chose workloads: no ${unknown.join(', ')}, only ${names.join(', ')}`)
  const profileDirectory = options.profile ? makeProfileDirectory(options.results) : null
  const chosen = workloads.filter(({ name }) => wanted.length === 0 || wanted.includes(name))
  const { report, path } = await measure(chosen, options, profileDirectory)
  console.log(formatReport(report))
  if (!options.toy) console.log(`\n${formatTargets(report)}`)
  if (profileDirectory !== null) console.log(`\n${formatProfiles(profileDirectory)}`)
  tellFiles(report, path)
}

async function compare(wanted: readonly string[], options: CompareCommandOptions): Promise<void> {
  const absent: Absence[] = []
  const workload = compareWorkload(resolve(options.packages), wanted, (absence) => absent.push(absence))
  const { report, path } = await measure([workload], { ...options, profile: false }, null)
  console.log(`${formatReport({ ...report, cases: [] })}\n\n${formatComparison(report.cases)}\n`)
  for (const { name, settings } of SYSTEMS) console.log(`${name}: ${settings}`)
  for (const { system, why } of absent) console.log(`Left out: ${system}: ${why}`)
  tellFiles(report, path)
}

/** Draws the report's pictures beside it and says where all is. */
function tellFiles(report: Report, path: string): void {
  console.log(`\n${path}`)
  for (const { name, svg } of drawPictures(report)) {
    const target = `${path.slice(0, -'.json'.length)}-${name}.svg`
    writeFileSync(target, svg)
    console.log(target)
  }
}

function makeProfileDirectory(results: string): string {
  mkdirSync(results, { recursive: true })
  return mkdtempSync(resolve(results, 'profile-'))
}

async function measure(
  chosen: readonly Workload[],
  options: RunCommandOptions,
  profileDirectory: string | null,
): Promise<{ report: Report; path: string }> {
  const repetitions = options.repeat ?? (options.toy || options.profile ? 1 : REPETITIONS_DEFAULT)
  mkdirSync(options.dataDir, { recursive: true })
  mkdirSync(options.results, { recursive: true })
  const environment = describeEnvironment(options.dataDir)
  process.on('SIGINT', interrupt).on('SIGTERM', interrupt)
  const startedAt = new Date().toISOString()
  const cases: CaseResult[] = []
  const report: Report = { version: 1, startedAt, isToy: options.toy, environment, cases }
  for (const workload of chosen) {
    const onProgress = (text: string) => void process.stderr.write(`${text}\n`)
    const runOptions = {
      isToy: options.toy,
      repetitions,
      directory: resolve(options.dataDir),
      durability: options.durability,
      profileDirectory,
      only: options.only,
      signal: interruption.signal,
      onProgress,
    }
    cases.push(...(await runWorkload(workload, runOptions)))
    writeReport(report, options.results) // so that a failure of a later one does not cost what was measured
  }
  return { report, path: writeReport(report, options.results) }
}

/** The first time: ends the run in order. */
function interrupt(): void {
  process.exitCode = INTERRUPTED_EXIT_CODE
  interruption.abort(new Error('Ran the benchmark: it was interrupted'))
}

function parseCount(text: string): number {
  const count = Number(text)
  if (!Number.isInteger(count) || count < 1) throw new InvalidArgumentError('wanted a whole number from 1')
  return count
}

try {
  await program.parseAsync()
} catch (error) {
  const exitCode = interruption.signal.aborted ? INTERRUPTED_EXIT_CODE : 1
  program.error(error instanceof Error ? error.message : String(error), { exitCode })
}
