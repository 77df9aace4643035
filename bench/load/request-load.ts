/**
 * The load generator for single records: each is a batch of its own, and a fixed number of them is under way. A next one
 * is sent when one is acknowledged, so this is a closed loop: it measures how many fit through, not how long one takes.
 */
import { Client, type Producer, type ProducerRecord } from '../../src/index.ts'
import { patternedBytes } from '../limits/pattern.ts'
import { timed, type LoadResult } from '../usage.ts'
import { createTopic, deleteTopic, requireInSync, type TopicSpec } from './topics.ts'

export interface RequestWork {
  readonly recordBytes: number
  readonly records: number
  /** Records under way. */
  readonly inFlightMax: number
}

export interface RequestProducer {
  readonly spec: TopicSpec
  readonly idempotent: boolean
  /** Requests under way on the connection. */
  readonly requestsMax: number
}

/** Smaller than any record, so that each is a batch of its own. */
const ONE_RECORD_A_BATCH = 1

/** @param bootstrap - Of the broker; the scheme chooses the transport. */
export async function requestLoad(bootstrap: string): Promise<{
  prepare(wanted: RequestProducer): Promise<void>
  run(work: RequestWork): Promise<LoadResult>
  remove(): Promise<void>
}> {
  const client = new Client({ bootstrap })
  await client.connect()
  let spec: TopicSpec | null = null
  let producer: Producer | null = null
  return {
    prepare: async ({ spec: wanted, idempotent, requestsMax }) => {
      spec = wanted
      await createTopic(client, wanted)
      producer = client.producer({ idempotent, inFlightMax: requestsMax, batchBytesMax: ONE_RECORD_A_BATCH })
      await producer.send({ topic: wanted.topic, partition: 0 })
    },
    run: async ({ recordBytes, records, inFlightMax }) => {
      const { topic, partitions } = spec!
      const value = patternedBytes(recordBytes)
      const messages: ProducerRecord[] = Array.from({ length: partitions }, (_, partition) => ({ topic, partition, value })) // prettier-ignore
      const cost = await timed(() => sendWindowed(producer!, messages, records, inFlightMax))
      await requireInSync(client, spec!)
      const work = `${records} records of ${recordBytes} bytes, each delivered by itself`
      return { ...cost, records, bytes: records * recordBytes, work }
    },
    remove: async () => {
      await producer!.close()
      await deleteTopic(client, spec!.topic)
    },
  }
}

function sendWindowed(
  producer: Producer,
  messages: readonly ProducerRecord[],
  count: number,
  inFlightMax: number,
): Promise<void> {
  return new Promise((resolve, reject) => {
    let sent = 0
    let delivered = 0
    const sendNext = (): void => {
      producer.send(messages[sent++ % messages.length]!).then(onDelivered, reject)
    }
    const onDelivered = (): void => {
      if (++delivered === count) resolve()
      else if (sent < count) sendNext()
    }
    for (let index = 0; index < Math.min(inFlightMax, count); index++) sendNext()
  })
}
