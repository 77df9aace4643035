/**
 * Reading as fast as it goes, with the product's consumer and its defaults, over WebSocket. `consume-tail` reads what the
 * broker still holds in memory (its tail cache), again and again; `consume-cold` reads more than that from segments on
 * the disk, of which all but the first read come from the page cache: Node has no `posix_fadvise` to empty it for one
 * file, so nothing here says how fast the disk itself is read.
 */
import { join } from 'node:path'
import { BrokerProcess } from '../broker-process.ts'
import type { ConsumeWork } from '../load/consumer-load.ts'
import { startLoad } from '../load/start-load.ts'
import type { TopicSpec } from '../load/topics.ts'
import type { ProduceWork } from '../load/producer-load.ts'
import { measureUsage, type LoadResult } from '../usage.ts'
import { NO_CONDITIONS, type Case, type Workload, type WorkloadContext } from '../workload.ts'

interface Placement {
  readonly partitions: number
  /** In MiB, over all partitions. */
  readonly size: number
  readonly passes: number
}

const RECORD_BYTES = [1024, 100] as const
const CHUNK_BYTES = 2 ** 20
/** The broker keeps 16 MiB a partition and 128 MiB in all, with what it needs around the values. */
const TAIL: Placement = { partitions: 6, size: 60, passes: 12 }
const TOY_TAIL: Placement = { partitions: 1, size: 8, passes: 2 }
const COLD: Placement = { partitions: 1, size: 384, passes: 1 }
const TOY_COLD: Placement = { partitions: 1, size: 40, passes: 1 }

export const consumeTail: Workload = {
  name: 'consume-tail',
  summary: "the consumer, as fast as it goes, from the broker's memory",
  open: (context) => openConsume(context, context.isToy ? TOY_TAIL : TAIL),
}

export const consumeCold: Workload = {
  name: 'consume-cold',
  summary: 'the consumer, as fast as it goes, from segments in the page cache',
  open: (context) => openConsume(context, context.isToy ? TOY_COLD : COLD),
}

let topicCount = 0

async function openConsume(context: WorkloadContext, placement: Placement): Promise<Case[]> {
  const { durability } = context
  const { partitions, passes } = placement
  const broker = await BrokerProcess.start(context, { directory: join(context.directory, 'broker') })
  const writer = await startLoad(context, 'producer-load', broker.bootstrap)
  const reader = await startLoad(context, 'consumer-load', broker.url)
  return RECORD_BYTES.map((recordBytes) => {
    const records = placement.size * Math.floor(CHUNK_BYTES / recordBytes)
    // Each partition has one more record, with which its producer's connection was opened.
    const work: Omit<ConsumeWork, 'topic'> = { records: records + partitions, passes, group: null }
    const fill = async (topic: string): Promise<void> => {
      const spec: TopicSpec = { topic, partitions, durability }
      const produceWork: ProduceWork = { recordBytes, records }
      await writer.call('prepare', spec)
      await writer.call('run', produceWork)
    }
    return {
      name: recordBytes === 1024 ? '1 KiB' : `${recordBytes} B`,
      conditions: {
        ...NO_CONDITIONS,
        durability,
        recordBytes,
        replicas: 1,
        partitions,
        transport: 'WebSocket' as const,
      },
      // Written anew each time: the other size has pushed it out of the broker's memory meanwhile.
      run: async () => {
        const topic = `consume-${topicCount++}`
        await fill(topic)
        try {
          return await measureUsage(
            broker,
            () => reader.call('run', { ...work, topic }) as Promise<LoadResult>,
          )
        } finally {
          await writer.call('remove')
        }
      },
    }
  })
}
