/**
 * Latency at a fixed rate in a cluster of three brokers, replication factor 3: from when a record is due until all in-sync
 * replicas have it, and until a consumer does, who gets only what is committed. Each record is a batch of its own, except
 * where batches are as the producer makes them: those that are due while five requests are under way go together. In the same rounds runs the bare
 * replication skeleton at the same rates.
 */
import { join } from 'node:path'
import { CLUSTER_SIZE, ClusterProcess } from '../cluster-process.ts'
import { skeletonCases } from '../limits/skeleton.ts'
import type { OpenLoopWork } from '../load/open-loop-load.ts'
import { startLoad } from '../load/start-load.ts'
import type { TopicSpec } from '../load/topics.ts'
import type { Workload } from '../workload.ts'
import { openLoopCase } from './open-loop-case.ts'

/** Seconds that a repetition lasts. */
const SECONDS = 4
const TOY_SECONDS = 0.4
/** Records that are sent before the first round, and how fast: at 1 000/s the engine would still be compiling while it is measured. */
const HEATING_RECORDS = 80_000
const HEATING_RATE_PER_SECOND = 10_000

export const clusterEndToEnd: Workload = {
  name: 'cluster-end-to-end',
  summary: 'three brokers, three replicas: latency at a fixed rate, beside bare replication',
  open: async (context) => {
    const cluster = await ClusterProcess.start(context, { directory: join(context.directory, 'cluster') })
    const load = await startLoad(context, 'open-loop-load', cluster.url)
    const seconds = context.isToy ? TOY_SECONDS : SECONDS
    const os = { partitions: 1, durability: 'os' as const, replicas: CLUSTER_SIZE }
    const disk = { partitions: 1, durability: 'disk' as const, replicas: CLUSTER_SIZE }
    const slow = { seconds, recordBytes: 100, ratePerSecond: 1000, isUnbatched: true }
    const fast = { seconds, recordBytes: 1024, ratePerSecond: 5000, isUnbatched: true }
    if (!context.isToy) {
      const spec = { ...os, topic: 'heating' }
      const heating = {
        recordBytes: 100,
        isUnbatched: true,
        until: 'acknowledged' as const,
        ratePerSecond: HEATING_RATE_PER_SECOND,
      }
      await load.call('run', { ...heating, records: HEATING_RECORDS, spec } satisfies OpenLoopWork & {
        readonly spec: TopicSpec
      })
    }
    const cases =
      [
      { ...slow, name: 'acknowledged, 100 B at 1 000/s, os', spec: os, until: 'acknowledged' as const },
      { ...slow, name: 'acknowledged, 100 B at 1 000/s, disk', spec: disk, until: 'acknowledged' as const },
      { ...fast, name: 'acknowledged, 1 KiB at 5 000/s, os', spec: os, until: 'acknowledged' as const },
      { ...fast, name: 'acknowledged, batches as they come, 1 KiB at 5 000/s, os', isUnbatched: false, spec: os, until: 'acknowledged' as const },
      { ...slow, name: 'consumed, 100 B at 1 000/s, os', spec: os, until: 'consumed' as const },
    ] // prettier-ignore
        .map((wanted) => openLoopCase(cluster, load, wanted))
    return [...cases, ...(await skeletonCases(context, 'latency'))]
  },
}
