/**
 * The load generator for Redis Streams: pipelines of XADD that end with WAIT 2, so that an acknowledgement stands on
 * three copies, one pipeline under way on each of four connections. WAIT holds its connection up, which is why there are
 * several. What is written was encoded once; reading asks for the next thousand before it looks at these.
 */
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { Histogram } from '../histogram.ts'
import { patternedBytes } from '../limits/pattern.ts'
import type { OpenLoopResult } from '../load/open-loop-load.ts'
import { pace } from '../pace.ts'
import { timed, type LoadResult } from '../usage.ts'
import { encodeCommand, RespReader, type RespToken } from './resp.ts'
import { CHUNK_BYTES, producedText, ReadSum, REPLICAS, type PeerWork } from './system.ts'

const CONNECTIONS = 4
/** XADDs before a WAIT. */
const PIPELINE_RECORDS = 500
/** Entries of one XREAD. */
const READ_RECORDS = 1000
/** How long WAIT waits before it answers with less, in ms. */
const WAIT_MS = 10_000
const WAIT = encodeCommand(['WAIT', String(REPLICAS - 1), String(WAIT_MS)])
const LEAD_MS = 20
const WARM_UP_RECORDS = 500

interface Pipeline {
  readonly bytes: Buffer
  readonly records: number
}

/** @param port - Of the primary, on the loopback. */
export async function redisLoad(port: number) {
  const connections = await Promise.all(Array.from({ length: CONNECTIONS }, () => Connection.open(port)))
  const reader = await Connection.open(port)
  let stream = ''
  const requireStored = async (records: number): Promise<void> => {
    const length = await reader.ask(['XLEN', stream])
    if (length !== records) throw new Error(`Wrote to Redis: ${length} entries are stored, wanted ${records}`)
  }
  return {
    prepare: async (wanted: string): Promise<void> => {
      stream = wanted
      const [connection] = connections
      await connection!.run({ bytes: Buffer.concat([encodeXadd(stream, Buffer.of(0)), WAIT]), records: 1 })
      await reader.ask(['DEL', stream])
    },
    produce: async ({ recordBytes, records }: PeerWork): Promise<LoadResult> => {
      const chunk = pipelinesOf(stream, recordBytes)
      let next = 0
      let sent = 0
      const cost = await timed(async () => {
        const sendOn = async (connection: Connection): Promise<void> => {
          while (sent < records) {
            const pipeline = chunk[next++ % chunk.length]!
            sent += pipeline.records
            await connection.run(pipeline)
          }
        }
        await Promise.all(connections.map(sendOn))
      })
      await requireStored(records)
      return { ...cost, records, bytes: records * recordBytes, work: producedText({ records, recordBytes }) }
    },
    consume: async ({ records }: PeerWork): Promise<LoadResult> => {
      const sum = new ReadSum()
      const cost = await timed(() => reader.readStream(stream, records, sum))
      return { ...cost, records: sum.records, bytes: sum.bytes, work: sum.toString() }
    },
    openLoop: async (work: PeerWork & { readonly ratePerSecond: number }): Promise<OpenLoopResult> => {
      await measure(connections, stream, { ...work, records: WARM_UP_RECORDS })
      const result = await measure(connections, stream, work)
      await requireStored(WARM_UP_RECORDS + work.records)
      return result
    },
    remove: async (): Promise<void> => {
      await reader.ask(['DEL', stream])
    },
  }
}

/** A record goes at once if a connection is free; otherwise with all that wait, when one is. */
async function measure(
  connections: readonly Connection[],
  stream: string,
  { recordBytes, records, ratePerSecond }: PeerWork & { readonly ratePerSecond: number },
): Promise<OpenLoopResult> {
  const latency = new Histogram()
  const lateness = new Histogram()
  const command = encodeXadd(stream, patternedBytes(recordBytes))
  const free = [...connections]
  const waiting: number[] = []
  const startMs = performance.now() + LEAD_MS
  const cpuStart = process.cpuUsage()
  const dueMs = (index: number): number => startMs + (index * 1e3) / ratePerSecond
  await new Promise<void>((resolve, reject) => {
    const kick = (): void => {
      while (free.length > 0 && waiting.length > 0) {
        const connection = free.pop()!
        const batch = waiting.splice(0, PIPELINE_RECORDS)
        const bytes = Buffer.concat([...batch.map(() => command), WAIT])
        connection.run({ bytes, records: batch.length }).then(() => {
          const nowMs = performance.now()
          for (const index of batch) latency.recordMs(nowMs - dueMs(index))
          free.push(connection)
          if (latency.count === records) resolve()
          else kick()
        }, reject)
      }
    }
    void pace(records, dueMs, (index) => {
      lateness.recordMs(performance.now() - dueMs(index))
      waiting.push(index)
      kick()
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

class Connection {
  readonly #socket: Socket
  readonly #reader = new RespReader()
  #onToken: (token: RespToken) => void = () => undefined
  #fail: (error: Error) => void = () => undefined

  private constructor(socket: Socket) {
    this.#socket = socket
    socket.on('data', (chunk) => {
      this.#reader.read(chunk, (token) => {
        if (token.kind === 'error') this.#fail(new Error(`Asked Redis: ${token.text}`))
        else this.#onToken(token)
      })
    })
    socket.on('close', () => this.#fail(new Error('Asked Redis: it closed the connection')))
  }

  static async open(port: number): Promise<Connection> {
    const socket = connect(port, '127.0.0.1')
    socket.setNoDelay(true)
    await once(socket, 'connect')
    return new Connection(socket)
  }

  /** @throws {Error} If an entry was refused, or fewer replicas than wanted confirmed. */
  run({ bytes, records }: Pipeline): Promise<void> {
    return new Promise((resolve, reject) => {
      let added = 0
      this.#fail = reject
      this.#onToken = (token) => {
        if (token.kind === 'bytes') {
          added++
          return
        }
        const confirmed = token.kind === 'number' ? token.value : 0
        if (added === records && confirmed >= REPLICAS - 1) resolve()
        else reject(new Error(`Wrote to Redis: ${added} entries and ${confirmed} replicas, wanted ${records} and ${REPLICAS - 1}`)) // prettier-ignore
      }
      this.#socket.write(bytes)
    })
  }

  /** A command whose answer is a number. */
  ask(command: readonly string[]): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#fail = reject
      this.#onToken = (token) => resolve(token.kind === 'number' ? token.value : NaN)
      this.#socket.write(encodeCommand(command))
    })
  }

  /** Of each entry come its id, the name of the only field, and the value; the stream's name comes before all. */
  readStream(stream: string, records: number, sum: ReadSum): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#fail = reject
      let bulks = 0
      let wanted = 0
      const askFrom = (id: string): void => {
        bulks = 0
        wanted = Math.min(READ_RECORDS, records - sum.records)
        this.#socket.write(encodeCommand(['XREAD', 'COUNT', String(READ_RECORDS), 'STREAMS', stream, id]))
      }
      let id = Buffer.alloc(0)
      this.#onToken = (token) => {
        if (token.kind !== 'bytes') return // arrays: their counts are known
        const part = bulks++ % 3
        if (bulks === 1) return // the stream's name
        if (part === 1) id = Buffer.from(token.bytes)
        if (part !== 0) return
        sum.add(token.bytes)
        if (--wanted > 0) return
        if (sum.records >= records) resolve()
        else askFrom(id.toString('latin1'))
      }
      askFrom('0')
    })
  }
}

const encodeXadd = (stream: string, value: Uint8Array): Buffer =>
  encodeCommand(['XADD', stream, '*', 'v', value])

/** The values of a chunk, as pipelines. */
function pipelinesOf(stream: string, recordBytes: number): Pipeline[] {
  const source = patternedBytes(CHUNK_BYTES)
  const count = Math.floor(CHUNK_BYTES / recordBytes)
  const pipelines: Pipeline[] = []
  for (let start = 0; start < count; start += PIPELINE_RECORDS) {
    const records = Math.min(PIPELINE_RECORDS, count - start)
    const commands = Array.from({ length: records }, (_, index) => {
      const at = (start + index) * recordBytes
      return encodeXadd(stream, source.subarray(at, at + recordBytes))
    })
    pipelines.push({ bytes: Buffer.concat([...commands, WAIT]), records })
  }
  return pipelines
}
