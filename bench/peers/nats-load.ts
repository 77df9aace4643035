/**
 * The load generator for NATS JetStream: publishes with a reply subject, a fixed number of them unanswered, from the
 * server that leads the stream's replicas; reads with a push consumer without acknowledgements, under flow control.
 * Publishes were encoded once. Each record is a message of its own: JetStream has no batches.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { Histogram } from '../histogram.ts'
import { patternedBytes } from '../limits/pattern.ts'
import type { OpenLoopResult } from '../load/open-loop-load.ts'
import { pace } from '../pace.ts'
import { timed, type LoadResult } from '../usage.ts'
import { encodePublish, NatsConnection, type NatsMessage } from './nats-connection.ts'
import { CHUNK_BYTES, producedText, ReadSum, REPLICAS, type PeerWork } from './system.ts'

export interface NatsServer {
  readonly name: string
  readonly port: number
}

/** Publishes without an answer: more were not faster. */
const IN_FLIGHT_MAX = 1024
const LEAD_MS = 20
const WARM_UP_RECORDS = 500
/** A server tells a consumer that is idle so after this long, in ns. */
const HEARTBEAT_NS = 5e9
const CURRENT_MS_MAX = 30_000
const POLL_MS = 50

interface ClusterInfo {
  readonly leader?: string
  readonly replicas?: readonly { readonly current: boolean }[]
}

interface StreamInfo {
  readonly state: { readonly messages: number }
  readonly cluster?: ClusterInfo
}

export async function natsLoad(servers: readonly NatsServer[]) {
  const admin = await NatsConnection.open(servers[0]!.port)
  let connection = admin
  let stream = ''
  const info = async (): Promise<StreamInfo> =>
    (await admin.ask(`STREAM.INFO.${stream}`, {})) as unknown as StreamInfo
  const requireStored = async (records: number): Promise<void> => {
    const { state } = await info()
    if (state.messages !== records) {
      throw new Error(`Wrote to NATS: ${state.messages} messages are stored, wanted ${records}`)
    }
  }
  return {
    prepare: async (wanted: string): Promise<void> => {
      stream = wanted
      const config = {
        name: stream,
        subjects: [stream],
        storage: 'file',
        num_replicas: REPLICAS,
        retention: 'limits',
      }
      await admin.ask(`STREAM.CREATE.${stream}`, config)
      const leader = await awaitReplicas(info)
      connection = await NatsConnection.open(servers.find(({ name }) => name === leader)!.port)
    },
    produce: async (work: PeerWork): Promise<LoadResult> => {
      const cost = await timed(() => publishAll(connection, stream, work))
      await requireStored(work.records)
      return {
        ...cost,
        records: work.records,
        bytes: work.records * work.recordBytes,
        work: producedText(work),
      }
    },
    consume: async ({ records }: PeerWork): Promise<LoadResult> => {
      const sum = new ReadSum()
      const cost = await timed(() => readAll(connection, stream, records, sum))
      return { ...cost, records: sum.records, bytes: sum.bytes, work: sum.toString() }
    },
    openLoop: async (work: PeerWork & { readonly ratePerSecond: number }): Promise<OpenLoopResult> => {
      await measure(connection, stream, { ...work, records: WARM_UP_RECORDS })
      const result = await measure(connection, stream, work)
      await requireStored(WARM_UP_RECORDS + work.records)
      return result
    },
    remove: async (): Promise<void> => {
      if (connection !== admin) connection.close()
      connection = admin
      await admin.ask(`STREAM.DELETE.${stream}`, {})
    },
  }
}

/** @returns The name of the server that leads, once all replicas have what it has. */
async function awaitReplicas(info: () => Promise<StreamInfo>): Promise<string> {
  const endMs = performance.now() + CURRENT_MS_MAX
  for (;;) {
    const { cluster } = await info()
    const current = cluster?.replicas?.filter((replica) => replica.current).length ?? 0
    if (cluster?.leader !== undefined && current === REPLICAS - 1) return cluster.leader
    if (performance.now() > endMs) {
      throw new Error(`Made a stream in NATS: ${current} replicas are current, wanted ${REPLICAS - 1}`)
    }
    await sleep(POLL_MS)
  }
}

/** Null for an acknowledgement. */
function findFailure({ payload, header }: NatsMessage): Error | null {
  const text = payload.toString('latin1')
  return header === '' && text.includes('"seq"') ? null : new Error(`Wrote to NATS: ${text}${header}`)
}

async function publishAll(
  connection: NatsConnection,
  stream: string,
  { recordBytes, records }: PeerWork,
): Promise<void> {
  const inbox = `_INBOX.${stream}.all`
  const source = patternedBytes(CHUNK_BYTES)
  const count = Math.floor(CHUNK_BYTES / recordBytes)
  const messages = Array.from({ length: count }, (_, index) =>
    encodePublish(stream, source.subarray(index * recordBytes, (index + 1) * recordBytes), inbox),
  )
  await new Promise<void>((resolve, reject) => {
    let sent = 0
    let acknowledged = 0
    let isFilling = false
    connection.onError = reject
    // Once a turn, all that the window has room for in one write.
    const fill = (): void => {
      isFilling = false
      const room = Math.min(records - sent, IN_FLIGHT_MAX - (sent - acknowledged))
      if (room <= 0) return
      connection.write(Buffer.concat(Array.from({ length: room }, () => messages[sent++ % count]!)))
    }
    const id = connection.subscribe(inbox, (message) => {
      const failure = findFailure(message)
      if (failure !== null) reject(failure)
      if (++acknowledged === records) {
        connection.unsubscribe(id)
        resolve()
      } else if (!isFilling) {
        isFilling = true
        setImmediate(fill)
      }
    })
    fill()
  })
}

function readAll(connection: NatsConnection, stream: string, records: number, sum: ReadSum): Promise<void> {
  const inbox = `_INBOX.${stream}.read`
  return new Promise((resolve, reject) => {
    connection.onError = reject
    const id = connection.subscribe(inbox, ({ payload, reply, header }) => {
      if (header.startsWith('NATS/1.0 100')) {
        // Flow control: the server goes on once it is answered; a heartbeat may say that it still waits.
        const stalled = /Nats-Consumer-Stalled: *(\S+)/.exec(header)?.[1] ?? reply
        if (stalled !== '') connection.write(encodePublish(stalled, Buffer.alloc(0)))
        return
      }
      sum.add(payload)
      if (sum.records < records) return
      connection.unsubscribe(id)
      resolve()
    })
    const config = {
      deliver_subject: inbox,
      deliver_policy: 'all',
      ack_policy: 'none',
      replay_policy: 'instant',
      flow_control: true,
      idle_heartbeat: HEARTBEAT_NS,
      num_replicas: 1,
      mem_storage: true,
    }
    connection.ask(`CONSUMER.CREATE.${stream}`, { stream_name: stream, config }).catch(reject)
  })
}

async function measure(
  connection: NatsConnection,
  stream: string,
  { recordBytes, records, ratePerSecond }: PeerWork & { readonly ratePerSecond: number },
): Promise<OpenLoopResult> {
  const inbox = `_INBOX.${stream}.paced`
  const latency = new Histogram()
  const lateness = new Histogram()
  const value = patternedBytes(recordBytes)
  const startMs = performance.now() + LEAD_MS
  const cpuStart = process.cpuUsage()
  const dueMs = (index: number): number => startMs + (index * 1e3) / ratePerSecond
  await new Promise<void>((resolve, reject) => {
    connection.onError = reject
    const id = connection.subscribe(`${inbox}.*`, (message) => {
      const failure = findFailure(message)
      if (failure !== null) reject(failure)
      latency.recordMs(performance.now() - dueMs(Number(message.subject.slice(inbox.length + 1))))
      if (latency.count < records) return
      connection.unsubscribe(id)
      resolve()
    })
    void pace(records, dueMs, (index) => {
      lateness.recordMs(performance.now() - dueMs(index))
      connection.write(encodePublish(stream, value, `${inbox}.${index}`))
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
