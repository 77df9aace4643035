/**
 * Repeats the cases of a workload in turn and folds what they measured.
 *
 * One round runs every case once; odd rounds run them backwards. A slow phase of the machine thus falls on all cases
 * alike, and a drift does not favour the first. A first round is thrown away unless sizes are toys: it fills caches
 * and lets the engine compile.
 */
import { createHash } from 'node:crypto'
import { mkdtemp, mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { spreadOf, type Spread } from './format.ts'
import { Histogram, type HistogramData } from './histogram.ts'
import type { Case, Conditions, Durability, Measurement, Metric, Workload } from './workload.ts'

export interface RunOptions {
  readonly isToy: boolean
  /** Rounds that count, 1 or more. */
  readonly repetitions: number
  /** Where measured files go. */
  readonly directory: string
  /** Of the topics that are measured. */
  readonly durability: Durability
  /** Where profiles go; null: none are recorded. */
  readonly profileDirectory: string | null
  /** Only cases whose names contain this are run. */
  readonly only: string
  /** Ends the run: what was opened is closed, and `runWorkload` throws the signal's reason. */
  readonly signal: AbortSignal
  /** Told before each run of a case. */
  readonly onProgress: (text: string) => void
}

export interface CaseResult {
  readonly workload: string
  readonly name: string
  readonly conditions: Conditions
  readonly repetitions: number
  readonly metrics: readonly MetricResult[]
  /** All repetitions pooled. */
  readonly latency: HistogramData | null
  /** SHA-256 of the work done, shortened. */
  readonly workHash: string
}

export interface MetricResult extends Omit<Metric, 'value'>, Spread {}

/** Percentiles that become metrics of a case that measured latencies, if every run had samples beyond them. */
const LATENCY_PERCENTILES = [50, 95, 99, 99.9] as const

/** Hex digits kept of the hash of the work: enough to tell apart, short enough to print. */
const WORK_HASH_DIGITS = 16

/**
 * Runs one workload.
 *
 * @throws {Error} If repetitions of a case did different work, or a case failed.
 */
export async function runWorkload(workload: Workload, options: RunOptions): Promise<CaseResult[]> {
  await mkdir(options.directory, { recursive: true })
  const directory = await mkdtemp(join(options.directory, `${workload.name}-`))
  const closers: (() => void | Promise<void>)[] = [() => rm(directory, { recursive: true, force: true })]
  const { isToy, durability, profileDirectory, only } = options
  const onClose = (task: () => void | Promise<void>) => void closers.push(task)
  const { interrupted, release } = rejectionOf(options.signal)
  try {
    const opening = workload.open({ isToy, durability, profileDirectory, directory, onClose })
    const cases = await Promise.race([opening, interrupted])
    const chosen = cases.filter(({ name }) => name.includes(only))
    return await runInTurn(workload.name, chosen, options, interrupted)
  } finally {
    release()
    // What a task opens after it was interrupted is closed, too: the list is read until it is empty.
    for (let close = closers.pop(); close !== undefined; close = closers.pop()) await close()
  }
}

/** A promise that only ever rejects, once the signal is given. */
function rejectionOf(signal: AbortSignal): {
  readonly interrupted: Promise<never>
  readonly release: () => void
} {
  let onAbort = (): void => undefined
  const interrupted = new Promise<never>((_, reject) => {
    onAbort = () => reject(signal.reason as Error)
    if (signal.aborted) onAbort()
    else signal.addEventListener('abort', onAbort, { once: true })
  })
  interrupted.catch(() => undefined) // it is raced with work; between two pieces of work nobody may be listening
  return { interrupted, release: () => signal.removeEventListener('abort', onAbort) }
}

async function runInTurn(
  workload: string,
  cases: readonly Case[],
  options: RunOptions,
  interrupted: Promise<never>,
): Promise<CaseResult[]> {
  const measured = new Map<Case, Measurement[]>(cases.map((each) => [each, []]))
  const warmUpRounds = options.isToy || options.profileDirectory !== null ? 0 : 1
  for (let round = -warmUpRounds; round < options.repetitions; round++) {
    for (const each of round % 2 === 0 ? cases : cases.toReversed()) {
      const counted = round < 0 ? 'warm-up' : `${round + 1} of ${options.repetitions}`
      options.onProgress(`${workload}, ${each.name}: ${counted}`)
      const measurement = await Promise.race([each.run(), interrupted])
      if (round >= 0) measured.get(each)!.push(measurement)
    }
  }
  return cases.map((each) => fold(workload, each, measured.get(each)!))
}

function fold(workload: string, { name, conditions }: Case, runs: readonly Measurement[]): CaseResult {
  const works = new Set(runs.map(({ work }) => work))
  if (works.size !== 1) {
    throw new Error(
      `Repeated ${workload}, ${name}: the repetitions did different work: ${[...works].join(' | ')}`,
    )
  }
  const samples = Math.min(...runs.map(({ latency }) => latency?.count ?? 0))
  const percents = LATENCY_PERCENTILES.filter((percent) => Math.round(samples * (1 - percent / 100)) >= 1)
  const perRun = runs.map(({ metrics, latency }) => [
    ...metrics,
    ...(latency ? percents.map((percent) => percentileMetric(latency, percent)) : []),
  ])
  const metrics = perRun[0]!.map(({ name: metric, unit, better }, index) => {
    return { name: metric, unit, better, ...spreadOf(perRun.map((values) => values[index]!.value)) }
  })
  const pooled = new Histogram()
  for (const { latency } of runs) if (latency) pooled.merge(latency)
  const identity = JSON.stringify([workload, name, conditions, ...works])
  return {
    workload,
    name,
    conditions,
    repetitions: runs.length,
    metrics,
    latency: pooled.count > 0 ? pooled.toData() : null,
    workHash: createHash('sha256').update(identity).digest('hex').slice(0, WORK_HASH_DIGITS),
  }
}

function percentileMetric(latency: Histogram, percent: number): Metric {
  return { name: `p${percent}`, unit: 'µs', value: latency.percentile(percent) / 1e3, better: 'lower' }
}
