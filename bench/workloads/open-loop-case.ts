/** A case of latency at a fixed rate, against one broker or a cluster (load/open-loop-load.ts). */
import { Histogram } from '../histogram.ts'
import type { OpenLoopResult, OpenLoopWork } from '../load/open-loop-load.ts'
import type { TopicSpec } from '../load/topics.ts'
import { memoryMetrics, type Measured } from '../usage.ts'
import type { Worker } from '../worker.ts'
import { NO_CONDITIONS, type Case } from '../workload.ts'

export interface OpenLoopCase extends Omit<OpenLoopWork, 'records'> {
  readonly name: string
  readonly seconds: number
  readonly spec: Omit<TopicSpec, 'topic'>
}

let topicCount = 0

/** @param measured - What serves; its CPU and memory are told. @param load - An `open-loop-load` connected to it. */
export function openLoopCase(measured: Measured, load: Worker, wanted: OpenLoopCase): Case {
  const { name, seconds, spec: wantedSpec, ...rate } = wanted
  const { recordBytes, ratePerSecond } = rate
  const records = ratePerSecond * seconds
  return {
    name,
    conditions: {
      ...NO_CONDITIONS,
      durability: wantedSpec.durability,
      acks: 'all',
      recordBytes,
      replicas: wantedSpec.replicas ?? 1,
      partitions: wantedSpec.partitions,
      transport: 'WebSocket',
      ratePerSecond,
    },
    run: async () => {
      const spec: TopicSpec = { ...wantedSpec, topic: `open-loop-${topicCount++}` }
      measured.resetPeak()
      const cpuBeforeMs = measured.findCpuMs()
      const result = (await load.call('run', { ...rate, records, spec })) as OpenLoopResult
      const cpuAfterMs = measured.findCpuMs()
      const latency = Histogram.fromData(result.latency)
      const lateness = Histogram.fromData(result.lateness)
      const cpu =
        cpuBeforeMs === null || cpuAfterMs === null
          ? []
          : [{ name: `${measured.who} cores`, unit: 'cores', value: (cpuAfterMs - cpuBeforeMs) / result.elapsedMs, better: 'lower' as const }] // prettier-ignore
      return {
        metrics: [
          { name: 'generator late, p99', unit: 'µs', value: lateness.percentile(99) / 1e3, better: 'lower' },
          ...cpu,
          ...memoryMetrics(measured),
        ],
        latency,
        work: `${latency.count} records of ${recordBytes} bytes ${rate.until}`,
      }
    },
  }
}
