/** Costs of a measured piece of work as metrics: CPU of broker and load generator, and the broker's memory. */
import type { ResidentSet } from './process-stats.ts'
import type { Metric } from './workload.ts'

/** What a load generator tells of a piece of work. */
export interface LoadResult {
  readonly elapsedMs: number
  /** CPU time of its process meanwhile. */
  readonly cpuMs: number
  readonly records: number
  /** Bytes of values. */
  readonly bytes: number
  /** What was done and what came of it; equal for every repetition. */
  readonly work: string
}

/** One process or several, whose costs are told as one figure. */
export interface Measured {
  /** Begins the names of the metrics. */
  readonly who: string
  findCpuMs(): number | null
  findResidentSet(): ResidentSet | null
  resetPeak(): void
}

/** Rates and costs of work that a load generator did against a broker. */
export async function measureUsage(
  broker: Measured,
  run: () => Promise<LoadResult>,
): Promise<{ readonly metrics: readonly Metric[]; readonly work: string }> {
  broker.resetPeak()
  const cpuBeforeMs = broker.findCpuMs()
  const { elapsedMs, cpuMs, records, bytes, work } = await run()
  const cpuAfterMs = broker.findCpuMs()
  const metrics: Metric[] = [
    { name: 'records', unit: '1/s', value: (records * 1e3) / elapsedMs, better: 'higher' },
    { name: 'throughput', unit: 'MB/s', value: bytes / 1e3 / elapsedMs, better: 'higher' },
    ...cpuMetrics('client', cpuMs, records, bytes),
    { name: 'client cores', unit: 'cores', value: cpuMs / elapsedMs, better: 'lower' },
  ]
  if (cpuBeforeMs !== null && cpuAfterMs !== null) {
    const brokerMs = cpuAfterMs - cpuBeforeMs
    metrics.push(...cpuMetrics(broker.who, brokerMs, records, bytes), {
      name: `${broker.who} cores`,
      unit: 'cores',
      value: brokerMs / elapsedMs,
      better: 'lower',
    })
  }
  return { metrics: [...metrics, ...memoryMetrics(broker)], work }
}

/** The broker's largest memory since its peak was forgotten; nothing where it cannot be known. */
export function memoryMetrics(broker: Measured): Metric[] {
  const peakBytes = broker.findResidentSet()?.peakBytes
  return peakBytes === undefined
    ? []
    : [{ name: `${broker.who} RSS peak`, unit: 'MB', value: peakBytes / 1e6, better: 'lower' }]
}

function cpuMetrics(who: string, cpuMs: number, records: number, bytes: number): Metric[] {
  return [
    { name: `${who} CPU`, unit: 's/GB', value: cpuMs / (bytes / 1e6), better: 'lower' },
    { name: `${who} CPU`, unit: 's/M records', value: cpuMs / 1e3 / (records / 1e6), better: 'lower' },
  ]
}

/** Runs `work` and tells how long it took and what it cost this process, in ms. */
export async function timed(work: () => Promise<void>): Promise<{ elapsedMs: number; cpuMs: number }> {
  const cpuStart = process.cpuUsage()
  const startMs = performance.now()
  await work()
  const elapsedMs = performance.now() - startMs
  const { user, system } = process.cpuUsage(cpuStart)
  return { elapsedMs, cpuMs: (user + system) / 1e3 }
}
