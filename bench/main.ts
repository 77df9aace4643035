#!/usr/bin/env node
/**
 * The benchmark's command line: runs workloads, compares two reports, draws charts of one, writes one into a document.
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
import { compareReports } from './compare.ts'
import { describeEnvironment } from './environment.ts'
import { writeDocument } from './markdown.ts'
import { formatProfiles } from './profile/profile.ts'
import { formatReport, formatTargets, readReport, writeReport, type Report } from './report.ts'
import { runWorkload, type CaseResult } from './runner.ts'
import type { Durability } from './workload.ts'
import { workloads } from './workloads.ts'

/** Rounds of a real run: an odd number, so that the median is a figure that was measured. */
const REPETITIONS_DEFAULT = 5
const RESULTS_DIRECTORY = 'bench-results'
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
  .description('compares two reports of one machine, or says why they cannot be compared')
  .argument('<before>', 'a report')
  .argument('<after>', 'a report')
  .action((before: string, after: string) =>
    console.log(compareReports(readReport(before), readReport(after))),
  )

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

async function run(wanted: readonly string[], options: RunCommandOptions): Promise<void> {
  const unknown = wanted.filter((name) => !names.includes(name))
  if (unknown.length > 0) program.error(`Chose workloads: no ${unknown.join(', ')}, only ${names.join(', ')}`)
  const repetitions = options.repeat ?? (options.toy || options.profile ? 1 : REPETITIONS_DEFAULT)
  mkdirSync(options.dataDir, { recursive: true })
  mkdirSync(options.results, { recursive: true })
  const profileDirectory = options.profile ? mkdtempSync(resolve(options.results, 'profile-')) : null
  const environment = describeEnvironment(options.dataDir)
  process.on('SIGINT', interrupt).on('SIGTERM', interrupt)
  const startedAt = new Date().toISOString()
  const cases: CaseResult[] = []
  const report: Report = { version: 1, startedAt, isToy: options.toy, environment, cases }
  for (const workload of workloads.filter(({ name }) => wanted.length === 0 || wanted.includes(name))) {
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
  console.log(formatReport(report))
  if (!options.toy) console.log(`\n${formatTargets(report)}`)
  if (profileDirectory !== null) console.log(`\n${formatProfiles(profileDirectory)}`)
  const path = writeReport(report, options.results)
  console.log(`\n${path}`)
  for (const { name, svg } of drawPictures(report)) {
    const target = `${path.slice(0, -'.json'.length)}-${name}.svg`
    writeFileSync(target, svg)
    console.log(target)
  }
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
