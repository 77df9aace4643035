/**
 * The load generator for whatever speaks Kafka's protocol: the product's own producer and consumer, over TCP as all other
 * systems are driven, with their defaults.
 */
import { Client } from '../../src/index.ts'
import { consumerLoad } from '../load/consumer-load.ts'
import { openLoopLoad, type OpenLoopResult } from '../load/open-loop-load.ts'
import { producerLoad } from '../load/producer-load.ts'
import type { TopicSpec } from '../load/topics.ts'
import type { LoadResult } from '../usage.ts'
import { producedText, readText, type PeerWork } from './system.ts'

export interface KafkaLoadParameters {
  /** `host:port,…` */
  readonly bootstrap: string
  readonly spec: Omit<TopicSpec, 'topic'>
}

/** Written by `prepare`, to open the producer's connection. */
const OPENING_RECORDS = 1

export async function kafkaLoad({ bootstrap, spec }: KafkaLoadParameters) {
  const producer = await producerLoad(bootstrap)
  const consumer = await consumerLoad(bootstrap)
  const openLoop = await openLoopLoad(bootstrap)
  const client = new Client({ bootstrap })
  let topic = ''
  return {
    prepare: async (stream: string): Promise<void> => {
      topic = stream
      await producer.prepare({ ...spec, topic })
    },
    produce: async (work: PeerWork): Promise<LoadResult> => {
      const result = await producer.run(work)
      const [end] = await client.admin().listOffsets([{ topic, partition: 0, at: 'latest' }])
      const stored = (end?.offset ?? 0) - OPENING_RECORDS
      if (stored !== work.records || result.records !== work.records) {
        throw new Error(
          `Wrote to a topic: ${result.records} acknowledged, ${stored} stored, wanted ${work.records}`,
        )
      }
      return { ...result, work: producedText(work) }
    },
    consume: async ({ records }: PeerWork): Promise<LoadResult> => {
      const work = { topic, records: records + OPENING_RECORDS, passes: 1, group: null }
      const result = await consumer.run(work)
      return {
        ...result,
        work: readText(JSON.parse(result.work.replace(/ read$/, '')) as Parameters<typeof readText>[0]),
      }
    },
    openLoop: (work: PeerWork & { readonly ratePerSecond: number }): Promise<OpenLoopResult> =>
      openLoop.run({
        ...work,
        until: 'acknowledged',
        isUnbatched: false,
        spec: { ...spec, topic: `${topic}-paced` },
      }),
    remove: () => producer.remove(),
  }
}
