/**
 * The load generator for latency: an open loop. Records are due at fixed times whatever became of those before, and a
 * latency counts from when its record was due. A broker that stalls is thus charged for all that it kept waiting, which
 * a loop that waits for each answer would hide (coordinated omission).
 *
 * The process sleeps between records (`pace.ts`), as a real one would: the cores belong to the brokers then. How late it was
 * itself is reported, so that it can be told from the broker.
 *
 * A value begins with its record's number, by which a consumer in this process finds when it was due.
 */
import { Client, type Consumer, type Producer } from '../../src/index.ts'
import { Histogram, type HistogramData } from '../histogram.ts'
import { patternedBytes } from '../limits/pattern.ts'
import { pace } from '../pace.ts'
import { createTopic, deleteTopic, requireInSync, type TopicSpec } from './topics.ts'

export interface OpenLoopWork {
  readonly recordBytes: number
  readonly records: number
  readonly ratePerSecond: number
  /** What a latency ends with: the acknowledgement, or the record in the hands of a consumer. */
  readonly until: 'acknowledged' | 'consumed'
  /** One record a batch; otherwise records that are due while requests are under way go together. */
  readonly isUnbatched: boolean
}

export interface OpenLoopResult {
  readonly latency: HistogramData
  /** How long after its time a record was given to the producer. */
  readonly lateness: HistogramData
  readonly cpuMs: number
  readonly elapsedMs: number
}

/** Time between the last preparation and the first record. */
const LEAD_MS = 20
/** Records sent before those that count, to open connections and let the engine compile; also at the fixed rate. */
const WARM_UP_RECORDS = 500
/** A record after which nothing has come for this long is taken for lost. */
const LOST_MS = 30_000

/** @param bootstrap - Of the broker; the scheme chooses the transport. */
export async function openLoopLoad(bootstrap: string): Promise<{
  run(work: OpenLoopWork & { readonly spec: TopicSpec }): Promise<OpenLoopResult>
}> {
  const client = new Client({ bootstrap })
  await client.connect()
  return {
    run: async ({ spec, ...work }) => {
      await createTopic(client, spec)
      const producer = client.producer(work.isUnbatched ? { batchBytesMax: 1 } : {})
      const consumer =
        work.until === 'consumed' ? client.consumer({ topics: [spec.topic], from: 'beginning' }) : null
      try {
        await producer.send({ topic: spec.topic })
        await measure(producer, consumer, spec.topic, { ...work, records: WARM_UP_RECORDS })
        const result = await measure(producer, consumer, spec.topic, work)
        await requireInSync(client, spec)
        return result
      } finally {
        await consumer?.close()
        await producer.close()
        await deleteTopic(client, spec.topic)
      }
    },
  }
}

async function measure(
  producer: Producer,
  consumer: Consumer | null,
  topic: string,
  { recordBytes, records, ratePerSecond }: OpenLoopWork,
): Promise<OpenLoopResult> {
  const latency = new Histogram()
  const lateness = new Histogram()
  const cpuStart = process.cpuUsage()
  const startMs = performance.now() + LEAD_MS
  const dueMs = (index: number): number => startMs + (index * 1e3) / ratePerSecond
  const source = patternedBytes(recordBytes)
  const acknowledged: Promise<unknown>[] = []
  const finished = (index: number): void => latency.recordMs(performance.now() - dueMs(index))
  const waitMsMax = dueMs(records) - performance.now() + LOST_MS
  const consumed = consumer === null ? null : consume(consumer, records, waitMsMax, finished)
  const send = (index: number): void => {
    const value = Buffer.from(source)
    value.writeUInt32BE(index)
    lateness.recordMs(performance.now() - dueMs(index))
    const sending = producer.send({ topic, partition: 0, value })
    acknowledged.push(consumer === null ? sending.then(() => finished(index)) : sending)
  }
  await pace(records, dueMs, send)
  await Promise.all(acknowledged)
  await consumed
  const { user, system } = process.cpuUsage(cpuStart)
  return {
    latency: latency.toData(),
    lateness: lateness.toData(),
    cpuMs: (user + system) / 1e3,
    elapsedMs: performance.now() - startMs,
  }
}

/** Reads until `count` numbered records came, in order and none twice. */
async function consume(
  consumer: Consumer,
  count: number,
  waitMsMax: number,
  onRecord: (index: number) => void,
): Promise<void> {
  let expected = 0
  const lost = new AbortController()
  const timer = setTimeout(() => lost.abort(), waitMsMax)
  try {
    for await (const { records } of consumer.batches({ signal: lost.signal })) {
      for (const { value } of records) {
        if (value === null) continue // written to open the producer's connection
        const index = new DataView(value.buffer, value.byteOffset).getUint32(0)
        if (index !== expected)
          throw new Error(`Consumed in an open loop: record ${index}, wanted ${expected}`)
        onRecord(expected++)
      }
      if (expected === count) return
    }
  } finally {
    clearTimeout(timer)
  }
}
