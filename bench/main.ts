#!/usr/bin/env node
/**
 * The benchmark's command line: runs workloads, compares two reports, draws charts of one.
 *
 * `npm run bench -- --toy` runs everything at toy size, as the gate does; `npm run bench -- limits` one workload.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { Command, InvalidArgumentError } from 'commander'
import { drawCharts } from './chart.ts'
import { compareReports } from './compare.ts'
import { describeEnvironment } from './environment.ts'
import { formatReport, readReport, writeReport, type Report } from './report.ts'
import { runWorkload, type CaseResult } from './runner.ts'
import { workloads } from './workloads.ts'

/** Rounds of a real run: an odd number, so that the median is a figure that was measured. */
const REPETITIONS_DEFAULT = 5
const RESULTS_DIRECTORY = 'bench-results'

interface RunCommandOptions {
  readonly toy: boolean
  readonly repeat?: number
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

async function run(wanted: readonly string[], options: RunCommandOptions): Promise<void> {
  const unknown = wanted.filter((name) => !names.includes(name))
  if (unknown.length > 0) program.error(`Chose workloads: no ${unknown.join(', ')}, only ${names.join(', ')}`)
  const repetitions = options.repeat ?? (options.toy ? 1 : REPETITIONS_DEFAULT)
  const startedAt = new Date().toISOString()
  const cases: CaseResult[] = []
  for (const workload of workloads.filter(({ name }) => wanted.length === 0 || wanted.includes(name))) {
    const onProgress = (text: string) => void process.stderr.write(`${text}\n`)
    const runOptions = { isToy: options.toy, repetitions, directory: options.dataDir, onProgress }
    cases.push(...(await runWorkload(workload, runOptions)))
  }
  mkdirSync(options.dataDir, { recursive: true })
  const environment = describeEnvironment(options.dataDir)
  const report: Report = { version: 1, startedAt, isToy: options.toy, environment, cases }
  console.log(formatReport(report))
  console.log(`\n${writeReport(report, options.results)}`)
}

function parseCount(text: string): number {
  const count = Number(text)
  if (!Number.isInteger(count) || count < 1) throw new InvalidArgumentError('wanted a whole number from 1')
  return count
}

try {
  await program.parseAsync()
} catch (error) {
  program.error(error instanceof Error ? error.message : String(error))
}
