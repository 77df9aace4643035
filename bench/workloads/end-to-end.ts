/**
 * Latency at a fixed rate (open loop): from when a record is due until it is acknowledged, and until a consumer has it.
 * Acknowledgement is measured without a consumer beside it, with one record a batch at the low rate.
 */
import { join } from 'node:path'
import { BrokerProcess } from '../broker-process.ts'
import { Histogram } from '../histogram.ts'
import type { OpenLoopResult, OpenLoopWork } from '../load/open-loop-load.ts'
import { startLoad } from '../load/start-load.ts'
import type { TopicSpec } from '../load/topics.ts'
import { memoryMetrics } from '../usage.ts'
import type { Worker } from '../worker.ts'
import { NO_CONDITIONS, type Case, type Workload, type WorkloadContext } from '../workload.ts'

/** Seconds that a repetition lasts. */
const SECONDS = 4
const TOY_SECONDS = 0.5

export const endToEnd: Workload = {
  name: 'end-to-end',
  summary: 'latency at a fixed rate: until acknowledged, and until consumed',
  open: async (context) => {
    const broker = await BrokerProcess.start(context, { directory: join(context.directory, 'broker') })
    const load = await startLoad(context, 'open-loop-load', broker.url)
    const slow = { recordBytes: 100, ratePerSecond: 1000, isUnbatched: true }
    const fast = { recordBytes: 1024, ratePerSecond: 5000, isUnbatched: false }
    return [
      openLoopCase(context, broker, load, 'acknowledged, 100 B at 1 000/s', {
        ...slow,
        until: 'acknowledged',
      }),
      openLoopCase(context, broker, load, 'consumed, 100 B at 1 000/s', { ...slow, until: 'consumed' }),
      openLoopCase(context, broker, load, 'acknowledged, 1 KiB at 5 000/s', {
        ...fast,
        until: 'acknowledged',
      }),
      openLoopCase(context, broker, load, 'consumed, 1 KiB at 5 000/s', { ...fast, until: 'consumed' }),
    ]
  },
}

let topicCount = 0

function openLoopCase(
  context: WorkloadContext,
  broker: BrokerProcess,
  load: Worker,
  name: string,
  rate: Omit<OpenLoopWork, 'records'>,
): Case {
  const { isToy, durability } = context
  const { recordBytes, ratePerSecond } = rate
  const records = ratePerSecond * (isToy ? TOY_SECONDS : SECONDS)
  return {
    name,
    conditions: {
      ...NO_CONDITIONS,
      durability,
      acks: 'all',
      recordBytes,
      replicas: 1,
      partitions: 1,
      transport: 'WebSocket',
      ratePerSecond,
    },
    run: async () => {
      const spec: TopicSpec = { topic: `open-loop-${topicCount++}`, partitions: 1, durability }
      broker.resetPeak()
      const cpuBeforeMs = broker.findCpuMs()
      const result = (await load.call('run', { ...rate, records, spec })) as OpenLoopResult
      const cpuAfterMs = broker.findCpuMs()
      const latency = Histogram.fromData(result.latency)
      const lateness = Histogram.fromData(result.lateness)
      const cpu =
        cpuBeforeMs === null || cpuAfterMs === null
          ? []
          : [{ name: 'broker cores', unit: 'cores', value: (cpuAfterMs - cpuBeforeMs) / result.elapsedMs, better: 'lower' as const }] // prettier-ignore
      return {
        metrics: [
          { name: 'generator late, p99', unit: 'µs', value: lateness.percentile(99) / 1e3, better: 'lower' },
          ...cpu,
          ...memoryMetrics(broker),
        ],
        latency,
        work: `${latency.count} records of ${recordBytes} bytes ${rate.until}`,
      }
    },
  }
}
