/**
 * A cluster of three brokers under load: writing, reading and single records, replication factor 3, one load generator.
 * An acknowledgement stands on all three replicas: they are in sync before a repetition and after it, or it fails.
 *
 * Beside writing, in the same rounds, runs the bare replication skeleton: the ceiling of this machine.
 */
import { join } from 'node:path'
import { CLUSTER_SIZE, ClusterProcess } from '../cluster-process.ts'
import { formatBytes } from '../format.ts'
import { skeletonCases } from '../limits/skeleton.ts'
import type { ConsumeWork } from '../load/consumer-load.ts'
import { CHUNKS_IN_FLIGHT, type ProduceWork } from '../load/producer-load.ts'
import type { RequestProducer, RequestWork } from '../load/request-load.ts'
import { startLoad } from '../load/start-load.ts'
import type { TopicSpec } from '../load/topics.ts'
import { measureUsage, type LoadResult } from '../usage.ts'
import type { Worker } from '../worker.ts'
import { NO_CONDITIONS, type Case, type Workload, type WorkloadContext } from '../workload.ts'

const CHUNK_BYTES = 2 ** 20
const RECORD_BYTES = [1024, 100] as const
const DURABILITIES = ['os', 'disk'] as const
/** Megabytes of values per repetition, by record size; each of them is written three times. */
const CHUNKS: ReadonlyMap<number, number> = new Map([
  [1024, 384],
  [100, 256],
])
const TOY_CHUNKS = 8
/** Megabytes that are read, more than once where the sizes are real. */
const CONSUME_CHUNKS = 96
const CONSUME_PASSES = 6
const TOY_CONSUME_CHUNKS = 4
const REQUESTS = 400_000
const TOY_REQUESTS = 3000
const IN_FLIGHT_MAX = 256

let topicCount = 0

const nextTopic = (): string => `cluster-${topicCount++}`

const startCluster = (context: WorkloadContext): Promise<ClusterProcess> =>
  ClusterProcess.start(context, { directory: join(context.directory, 'cluster') })

const conditions = {
  ...NO_CONDITIONS,
  acks: 'all' as const,
  replicas: CLUSTER_SIZE,
  partitions: 1,
  transport: 'WebSocket' as const,
}

export const clusterProduce: Workload = {
  name: 'cluster-produce',
  summary: 'three brokers, three replicas: the producer, as fast as it goes, beside bare replication',
  open: async (context) => {
    const cluster = await startCluster(context)
    const load = await startLoad(context, 'producer-load', cluster.url)
    const cases = DURABILITIES.flatMap((durability) =>
      RECORD_BYTES.map((recordBytes): Case => {
        const chunks = context.isToy ? TOY_CHUNKS : CHUNKS.get(recordBytes)!
        const work: ProduceWork = { recordBytes, records: chunks * Math.floor(CHUNK_BYTES / recordBytes) }
        return {
          name: `${formatBytes(recordBytes)}, ${durability}`,
          conditions: {
            ...conditions,
            durability,
            recordBytes,
            inFlightBytesMax: CHUNKS_IN_FLIGHT * CHUNK_BYTES,
          },
          run: () => {
            const spec: TopicSpec = { topic: nextTopic(), partitions: 1, durability, replicas: CLUSTER_SIZE }
            return measureOn(load, spec, () =>
              measureUsage(cluster, () => load.call('run', work) as Promise<LoadResult>),
            )
          },
        }
      }),
    )
    return [...cases, ...(await skeletonCases(context, 'throughput'))]
  },
}

export const clusterConsume: Workload = {
  name: 'cluster-consume',
  summary: 'three brokers, three replicas: the consumer, as fast as it goes',
  open: async (context) => {
    const cluster = await startCluster(context)
    const writer = await startLoad(context, 'producer-load', cluster.url)
    const reader = await startLoad(context, 'consumer-load', cluster.url)
    const durability = 'os'
    const consumeCase = (recordBytes: number, isGroup: boolean): Case => {
      const chunks = context.isToy ? TOY_CONSUME_CHUNKS : CONSUME_CHUNKS
      const fill: ProduceWork = { recordBytes, records: chunks * Math.floor(CHUNK_BYTES / recordBytes) }
      return {
        name: `${isGroup ? 'by a group of one, ' : ''}${formatBytes(recordBytes)}`,
        conditions: { ...conditions, acks: null, durability, recordBytes },
        run: () => {
          const spec: TopicSpec = { topic: nextTopic(), partitions: 1, durability, replicas: CLUSTER_SIZE }
          // The partition has one more record, with which its producer's connection was opened.
          const passes = context.isToy ? 1 : CONSUME_PASSES
          const group = isGroup ? `reads ${spec.topic}` : null
          const work: ConsumeWork = { topic: spec.topic, records: fill.records + 1, passes, group }
          return measureOn(writer, spec, async () => {
            await writer.call('run', fill)
            return await measureUsage(cluster, () => reader.call('run', work) as Promise<LoadResult>)
          })
        },
      }
    }
    return RECORD_BYTES.flatMap((recordBytes) => [
      consumeCase(recordBytes, false),
      consumeCase(recordBytes, true),
    ])
  },
}

export const clusterRequests: Workload = {
  name: 'cluster-requests',
  summary: 'three brokers, three replicas: one record a request, 256 in flight on one connection',
  open: async (context) => {
    const cluster = await startCluster(context)
    const load = await startLoad(context, 'request-load', cluster.url)
    const work: RequestWork = {
      recordBytes: 100,
      records: context.isToy ? TOY_REQUESTS : REQUESTS,
      inFlightMax: IN_FLIGHT_MAX,
    }
    return DURABILITIES.map((durability): Case => {
      return {
        name: `a record a request, ${durability}`,
        conditions: { ...conditions, durability, recordBytes: work.recordBytes, inFlightMax: IN_FLIGHT_MAX },
        run: () => {
          const spec: TopicSpec = { topic: nextTopic(), partitions: 1, durability, replicas: CLUSTER_SIZE }
          const producer: RequestProducer = { spec, idempotent: false, requestsMax: IN_FLIGHT_MAX }
          return measureOn(load, producer, () =>
            measureUsage(cluster, () => load.call('run', work) as Promise<LoadResult>),
          )
        },
      }
    })
  },
}

/** Makes the topic, measures, and removes the topic. */
async function measureOn<T>(
  load: Worker,
  preparation: TopicSpec | RequestProducer,
  measure: () => Promise<T>,
): Promise<T> {
  await load.call('prepare', preparation)
  try {
    return await measure()
  } finally {
    await load.call('remove')
  }
}
