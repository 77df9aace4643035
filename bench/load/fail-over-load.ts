/**
 * The load generator for fail-over: an open loop, one record a batch, with the product's producer and its defaults, that
 * notes the longest time between two acknowledgements. Afterwards a new consumer reads the topic: every record that was
 * acknowledged must be there, none twice, in the order in which they were sent.
 */
import { Client, type Producer } from '../../src/index.ts'
import { Histogram, type HistogramData } from '../histogram.ts'
import { patternedBytes } from '../limits/pattern.ts'
import { pace } from '../pace.ts'
import { awaitInSync, createTopic, deleteTopic, leaderOf, type TopicSpec } from './topics.ts'

export interface FailOverWork {
  readonly recordBytes: number
  readonly records: number
  readonly ratePerSecond: number
}

export interface FailOverResult {
  /** Longest time without an acknowledgement, in ms. */
  readonly gapMs: number
  readonly latency: HistogramData
  readonly work: string
}

/** Reading back is given this long, in ms. */
const READ_MS_MAX = 30_000

/** @param bootstrap - Of the cluster; the scheme chooses the transport. */
export async function failOverLoad(bootstrap: string): Promise<{
  prepare(spec: TopicSpec): Promise<number>
  run(work: FailOverWork): Promise<FailOverResult>
  remove(): Promise<void>
}> {
  const client = new Client({ bootstrap })
  await client.connect()
  let spec: TopicSpec | null = null
  let producer: Producer | null = null
  return {
    /** @returns The broker that leads the topic's only partition. */
    prepare: async (wanted) => {
      spec = wanted
      await createTopic(client, wanted)
      producer = client.producer({ batchBytesMax: 1 })
      await producer.send({ topic: wanted.topic, partition: 0 })
      return await leaderOf(client, wanted.topic)
    },
    run: async (work) => {
      const { gapMs, latency } = await produce(producer!, spec!.topic, work)
      await readBack(client, spec!.topic, work.records)
      const told = `${work.records} records of ${work.recordBytes} bytes acknowledged and read, each once and in order`
      return { gapMs, latency: latency.toData(), work: told }
    },
    /** Waits until the broker that went is in sync again, so that the next measurement begins as this one did. */
    remove: async () => {
      await awaitInSync(client, spec!)
      await producer!.close()
      await deleteTopic(client, spec!.topic)
    },
  }
}

async function produce(
  producer: Producer,
  topic: string,
  { recordBytes, records, ratePerSecond }: FailOverWork,
): Promise<{ gapMs: number; latency: Histogram }> {
  const latency = new Histogram()
  const source = patternedBytes(recordBytes)
  const startMs = performance.now()
  const dueMs = (index: number): number => startMs + (index * 1e3) / ratePerSecond
  let lastMs = startMs
  let gapMs = 0
  const sending: Promise<void>[] = []
  await pace(records, dueMs, (index) => {
    const value = Buffer.from(source)
    value.writeUInt32BE(index)
    sending.push(
      producer.send({ topic, partition: 0, value }).then(() => {
        const nowMs = performance.now()
        gapMs = Math.max(gapMs, nowMs - lastMs)
        lastMs = nowMs
        latency.recordMs(nowMs - dueMs(index))
      }),
    )
  })
  await Promise.all(sending)
  return { gapMs, latency }
}

/** @throws {Error} If a record is missing, repeated or out of order. */
async function readBack(client: Client, topic: string, count: number): Promise<void> {
  const consumer = client.consumer({ topics: [topic], from: 'beginning' })
  const late = new AbortController()
  const timer = setTimeout(() => late.abort(), READ_MS_MAX)
  let expected = 0
  try {
    for await (const { records } of consumer.batches({ signal: late.signal })) {
      for (const { value } of records) {
        if (value === null) continue // written to open the producer's connection
        const index = new DataView(value.buffer, value.byteOffset).getUint32(0)
        if (index !== expected)
          throw new Error(`Read back after a fail-over: record ${index}, wanted ${expected}`)
        expected++
      }
      if (expected === count) return
    }
    throw new Error(`Read back after a fail-over: ${expected} records came, wanted ${count}`)
  } finally {
    clearTimeout(timer)
    await consumer.close()
  }
}
