/**
 * The load generator for writing: the product's own producer, with its defaults, fed through `sendAll`.
 *
 * Records are made once and sent again and again: what is measured is the way of a record, not the making of values.
 * Values come of a fixed generator and do not compress.
 */
import { Client, type Producer, type ProducerRecord } from '../../src/index.ts'
import { patternedBytes } from '../limits/pattern.ts'
import { timed, type LoadResult } from '../usage.ts'
import { createTopic, deleteTopic, requireInSync, type TopicSpec } from './topics.ts'

export interface ProduceWork {
  readonly recordBytes: number
  readonly records: number
}

/** Bytes of values in one `sendAll`. */
const CHUNK_BYTES = 2 ** 20
/** Calls of `sendAll` under way: enough for five full batches in flight and as much again being built. */
export const CHUNKS_IN_FLIGHT = 4

/** @param bootstrap - Of the broker; the scheme chooses the transport. */
export async function producerLoad(bootstrap: string): Promise<{
  prepare(spec: TopicSpec): Promise<void>
  attach(spec: TopicSpec): Promise<void>
  run(work: ProduceWork): Promise<LoadResult>
  remove(): Promise<void>
}> {
  const client = new Client({ bootstrap })
  await client.connect()
  let spec: TopicSpec | null = null
  let producer: Producer | null = null

  const attach = async (wanted: TopicSpec): Promise<void> => {
    spec = wanted
    producer = client.producer()
    const { topic } = wanted
    await Promise.all(partitionsOf(wanted).map((partition) => producer!.send({ topic, partition })))
  }
  return {
    /** Makes the topic and a producer with an open connection and a producer id. */
    prepare: async (wanted) => {
      await createTopic(client, wanted)
      await attach(wanted)
    },
    /** As `prepare`, to a topic that is there. */
    attach,
    run: async ({ recordBytes, records }) => {
      const chunks = chunksOf(spec!, recordBytes)
      const chunkRecords = chunks[0]!.length
      let sent = 0
      let delivered = 0
      const cost = await timed(async () => {
        const sendOn = async (): Promise<void> => {
          while (sent < records) {
            const chunk = chunks[(sent / chunkRecords) % chunks.length]!
            sent += chunkRecords
            for (const { count } of await producer!.sendAll(chunk)) delivered += count
          }
        }
        await Promise.all(Array.from({ length: CHUNKS_IN_FLIGHT }, sendOn))
      })
      await requireInSync(client, spec!)
      const bytes = delivered * recordBytes
      return {
        ...cost,
        records: delivered,
        bytes,
        work: `${delivered} records of ${recordBytes} bytes delivered`,
      }
    },
    remove: async () => {
      await producer!.close()
      await deleteTopic(client, spec!.topic)
    },
  }
}

const partitionsOf = ({ partitions }: TopicSpec): number[] =>
  Array.from({ length: partitions }, (_, index) => index)

/** One chunk per partition: a partition gets whole chunks in turn. */
function chunksOf(spec: TopicSpec, recordBytes: number): ProducerRecord[][] {
  const { topic } = spec
  const source = patternedBytes(CHUNK_BYTES)
  const count = Math.floor(CHUNK_BYTES / recordBytes)
  return partitionsOf(spec).map((partition) =>
    Array.from({ length: count }, (_, index) => {
      return { topic, partition, value: source.subarray(index * recordBytes, (index + 1) * recordBytes) }
    }),
  )
}
