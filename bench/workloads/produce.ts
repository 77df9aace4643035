/**
 * Writing as fast as it goes: the product's producer with its defaults, `sendAll`, one partition, acks all. In the same
 * rounds, so under the same mood of the machine, its limits: the loopback with messages of 64 KiB, and appending to a
 * file with group commit.
 */
import { join } from 'node:path'
import { BrokerProcess } from '../broker-process.ts'
import { diskCases } from '../limits/disk.ts'
import { wireCases } from '../limits/wire.ts'
import { CHUNKS_IN_FLIGHT, type ProduceWork } from '../load/producer-load.ts'
import { startLoad } from '../load/start-load.ts'
import type { TopicSpec } from '../load/topics.ts'
import { LIMIT_CASES } from '../targets.ts'
import { measureUsage, type LoadResult } from '../usage.ts'
import type { Worker } from '../worker.ts'
import { NO_CONDITIONS, type Case, type Workload, type WorkloadContext } from '../workload.ts'

const CHUNK_BYTES = 2 ** 20
const RECORD_BYTES = [1024, 100] as const
/** Megabytes per repetition, by record size: some seconds each. */
const CHUNKS: ReadonlyMap<number, number> = new Map([
  [1024, 512],
  [100, 256],
])
const TOY_CHUNKS = 16
export const produce: Workload = {
  name: 'produce',
  summary: 'the producer, as fast as it goes, beside the limits of loopback and disk',
  open: async (context) => {
    const broker = await BrokerProcess.start(context, { directory: join(context.directory, 'broker') })
    const cases: Case[] = []
    for (const [transport, address] of [
      ['WebSocket', broker.url],
      ['TCP', broker.bootstrap],
    ] as const) {
      const load = await startLoad(context, 'producer-load', address)
      for (const recordBytes of RECORD_BYTES) {
        cases.push(produceCase(context, broker, load, transport, recordBytes))
      }
    }
    const limits = [...(await wireCases(context)), ...diskCases(context)]
    return [...cases, ...limits.filter(({ name }) => LIMIT_CASES.some((wanted) => wanted === name))]
  },
}

let topicCount = 0

function produceCase(
  context: WorkloadContext,
  broker: BrokerProcess,
  load: Worker,
  transport: 'WebSocket' | 'TCP',
  recordBytes: number,
): Case {
  const { isToy, durability } = context
  const chunks = isToy ? TOY_CHUNKS : CHUNKS.get(recordBytes)!
  const work: ProduceWork = { recordBytes, records: chunks * Math.floor(CHUNK_BYTES / recordBytes) }
  return {
    name: `${transport}, ${recordBytes === 1024 ? '1 KiB' : `${recordBytes} B`}`,
    conditions: {
      ...NO_CONDITIONS,
      durability,
      acks: 'all',
      recordBytes,
      inFlightBytesMax: CHUNKS_IN_FLIGHT * CHUNK_BYTES,
      replicas: 1,
      partitions: 1,
      transport,
    },
    run: async () => {
      const spec: TopicSpec = { topic: `produce-${topicCount++}`, partitions: 1, durability }
      await load.call('prepare', spec)
      try {
        return await measureUsage(broker, () => load.call('run', work) as Promise<LoadResult>)
      } finally {
        await load.call('remove')
      }
    },
  }
}
