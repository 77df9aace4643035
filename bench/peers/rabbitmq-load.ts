/**
 * The load generator for RabbitMQ Streams: publishes from the server that leads the stream's replicas, a fixed number of
 * frames unconfirmed, and reads from it with a credit for every chunk.
 *
 * Throughput is written in one of two ways: sub-entries of hundreds of records, which the server stores and confirms as one,
 * or plain entries of one record each. A record that is due alone is a plain entry either way. Frames were encoded once. An
 * entry's id is the number of its records, so that confirmations add up to records: the ids need not differ, because a
 * publisher without a name is not checked for duplicates.
 *
 * Values are stored as they are: the server does not look into them, though its own clients put AMQP's data section around.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { Histogram } from '../histogram.ts'
import { patternedBytes } from '../limits/pattern.ts'
import type { OpenLoopResult } from '../load/open-loop-load.ts'
import { pace } from '../pace.ts'
import { timed, type LoadResult } from '../usage.ts'
import { FROM, PUBLISHER, RabbitConnection } from './rabbitmq-connection.ts'
import { encodeEntry, encodePublish, readConfirm, readDelivery } from './rabbitmq-frames.ts'
import { CHUNK_BYTES, producedText, ReadSum, REPLICAS, type PeerWork } from './system.ts'

export interface RabbitLoadParameters {
  /** Of any server, on the loopback. */
  readonly port: number
  readonly hasSubEntries: boolean
}

/** Records of a sub-entry: 72 kB of 100 B, and at 1 KiB half of what a frame may hold. */
const SUB_ENTRY_RECORDS_MAX = 700
/** Records of a frame of plain entries, and entries of a frame of sub-entries: in bytes about as much. */
const PLAIN_ENTRIES_MAX = 1000
const SUB_ENTRIES_MAX = 8
/** Bytes of a frame's values; the server takes no frame over 1 MiB unless told to. */
const FRAME_VALUE_BYTES_MAX = 600 * 2 ** 10
/** Frames without a confirmation, some 10 MB at most: the replicas have work while confirmations are on their way. */
const FRAMES_IN_FLIGHT_MAX = 20
const LEAD_MS = 20
const WARM_UP_RECORDS = 500
const REPLICAS_MS_MAX = 30_000
/** How long the last chunks may take to become readable once they are confirmed. */
const STORED_MS_MAX = 10_000
const POLL_MS = 50

interface PublishFrame {
  readonly bytes: Buffer
  readonly records: number
}

export async function rabbitmqLoad({ port, hasSubEntries }: RabbitLoadParameters) {
  const admin = await RabbitConnection.open(port)
  let connection = admin
  let stream = ''
  return {
    prepare: async (wanted: string): Promise<void> => {
      stream = wanted
      await admin.create(stream, { 'initial-cluster-size': String(REPLICAS), 'queue-leader-locator': 'client-local' }) // prettier-ignore
      try {
        connection = await RabbitConnection.open(await awaitReplicas(admin, stream))
        await connection.declarePublisher(stream)
      } catch (error) {
        await admin.delete(stream)
        throw error
      }
    },
    produce: async (work: PeerWork): Promise<LoadResult> => {
      const frames = framesOf(work.recordBytes, hasSubEntries)
      const cost = await timed(() => publishAll(connection, frames, work.records))
      await requireStored(connection, stream, work.records)
      return { ...cost, records: work.records, bytes: work.records * work.recordBytes, work: producedText(work) } // prettier-ignore
    },
    consume: async ({ records }: PeerWork): Promise<LoadResult> => {
      const sum = new ReadSum()
      const cost = await timed(() => readAll(connection, stream, records, sum))
      await connection.unsubscribe()
      return { ...cost, records: sum.records, bytes: sum.bytes, work: sum.toString() }
    },
    openLoop: async (work: PeerWork & { readonly ratePerSecond: number }): Promise<OpenLoopResult> => {
      await measure(connection, { ...work, records: WARM_UP_RECORDS })
      const result = await measure(connection, work)
      await requireStored(connection, stream, WARM_UP_RECORDS + work.records)
      return result
    },
    remove: async (): Promise<void> => {
      connection.close()
      await admin.delete(stream)
    },
  }
}

/** @returns The port of the server that leads, once all replicas are there. */
async function awaitReplicas(admin: RabbitConnection, stream: string): Promise<number> {
  const endMs = performance.now() + REPLICAS_MS_MAX
  for (;;) {
    const { leaderPort, replicas } = await admin.findTopology(stream)
    if (leaderPort !== null && replicas === REPLICAS) return leaderPort
    if (performance.now() > endMs) {
      throw new Error(`Made a stream in RabbitMQ: it has ${replicas} replicas, wanted ${REPLICAS}`)
    }
    await sleep(POLL_MS)
  }
}

/**
 * Asks the server what it holds, by the offset after its last chunk: offsets begin at 0 and have no gaps.
 *
 * @throws {Error} If that is another number of records.
 */
async function requireStored(connection: RabbitConnection, stream: string, records: number): Promise<void> {
  let stored = 0
  let timer: NodeJS.Timeout | undefined
  const found = new Promise<void>((resolve, reject) => {
    connection.onError = reject
    timer = setTimeout(resolve, STORED_MS_MAX)
    const onDelivery = (body: Buffer): void => {
      const chunk = readDelivery(body, () => undefined)
      stored = Math.max(stored, chunk.firstOffset + chunk.records)
      if (stored >= records) resolve()
    }
    connection.subscribe(stream, FROM.last, onDelivery).catch(reject)
  })
  await found.finally(() => clearTimeout(timer))
  await connection.unsubscribe()
  if (stored !== records)
    throw new Error(`Wrote to RabbitMQ: ${stored} records are stored, wanted ${records}`)
}

/** The values of a chunk, as frames of about equal size. */
export function framesOf(recordBytes: number, hasSubEntries: boolean): PublishFrame[] {
  const source = patternedBytes(CHUNK_BYTES)
  const values = Array.from({ length: Math.floor(CHUNK_BYTES / recordBytes) }, (_, index) =>
    source.subarray(index * recordBytes, (index + 1) * recordBytes),
  )
  const entries = cut(values, hasSubEntries ? SUB_ENTRY_RECORDS_MAX : 1).map((part) => ({
    id: part.length,
    entry: encodeEntry(part, hasSubEntries),
  }))
  const bytesEach = entries[0]!.id * recordBytes
  const countMax = Math.min(
    hasSubEntries ? SUB_ENTRIES_MAX : PLAIN_ENTRIES_MAX,
    Math.floor(FRAME_VALUE_BYTES_MAX / bytesEach),
  )
  return cut(entries, countMax).map((part) => ({
    bytes: encodePublish(PUBLISHER, part),
    records: part.reduce((sum, { id }) => sum + id, 0),
  }))
}

/** In as few parts of at most `countMax` as there can be, none smaller than another by more than their number. */
function cut<T>(all: readonly T[], countMax: number): T[][] {
  const each = Math.ceil(all.length / Math.ceil(all.length / countMax))
  return Array.from({ length: Math.ceil(all.length / each) }, (_, index) =>
    all.slice(index * each, (index + 1) * each),
  )
}

function publishAll(
  connection: RabbitConnection,
  frames: readonly PublishFrame[],
  records: number,
): Promise<void> {
  const inFlightMax = FRAMES_IN_FLIGHT_MAX * frames[0]!.records
  return new Promise((resolve, reject) => {
    let next = 0
    let sent = 0
    let confirmed = 0
    const fill = (): void => {
      while (sent < records && sent - confirmed < inFlightMax) {
        const frame = frames[next++ % frames.length]!
        sent += frame.records
        connection.write(frame.bytes)
      }
    }
    const onId = (id: number): void => {
      confirmed += id
    }
    connection.onError = reject
    connection.onConfirm = (body) => {
      readConfirm(body, onId)
      if (confirmed >= records) resolve()
      else fill()
    }
    fill()
  })
}

function readAll(connection: RabbitConnection, stream: string, records: number, sum: ReadSum): Promise<void> {
  return new Promise((resolve, reject) => {
    const onValue = (value: Buffer): void => sum.add(value)
    const onDelivery = (body: Buffer): void => {
      readDelivery(body, onValue)
      if (sum.records >= records) resolve()
    }
    connection.onError = reject
    connection.subscribe(stream, FROM.first, onDelivery).catch(reject)
  })
}

async function measure(
  connection: RabbitConnection,
  { recordBytes, records, ratePerSecond }: PeerWork & { readonly ratePerSecond: number },
): Promise<OpenLoopResult> {
  const latency = new Histogram()
  const lateness = new Histogram()
  const entry = encodeEntry([patternedBytes(recordBytes)], false)
  const startMs = performance.now() + LEAD_MS
  const cpuStart = process.cpuUsage()
  const dueMs = (index: number): number => startMs + (index * 1e3) / ratePerSecond
  await new Promise<void>((resolve, reject) => {
    connection.onError = reject
    connection.onConfirm = (body) => {
      const nowMs = performance.now()
      readConfirm(body, (index) => latency.recordMs(nowMs - dueMs(index)))
      if (latency.count >= records) resolve()
    }
    void pace(records, dueMs, (index) => {
      lateness.recordMs(performance.now() - dueMs(index))
      connection.write(encodePublish(PUBLISHER, [{ id: index, entry }]))
    })
  })
  const { user, system } = process.cpuUsage(cpuStart)
  return {
    latency: latency.toData(),
    lateness: lateness.toData(),
    cpuMs: (user + system) / 1e3,
    elapsedMs: performance.now() - startMs,
  }
}
