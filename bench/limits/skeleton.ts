/**
 * The ceiling of a replicated log on this machine: a producer in this process, a leader and two followers in processes of
 * their own, WebSockets between them, and no protocol (limits/skeleton-node.ts). Throughput with batches as large as a
 * producer makes them, and latency at a fixed rate with one record a batch.
 */
import { once } from 'node:events'
import { join } from 'node:path'
import { WebSocket } from 'ws'
import { Histogram } from '../histogram.ts'
import { pace } from '../pace.ts'
import { NO_CONDITIONS, type Case, type Measurement, type Metric, type WorkloadContext } from '../workload.ts'
import { Worker } from '../worker.ts'
import { patternedBytes } from './pattern.ts'
import { SKELETON_BATCH_BYTES, skeletonName } from './skeleton-names.ts'
import { SKELETON_SOCKET, type SkeletonReceipt, type SkeletonRun } from './skeleton-node.ts'

type SkeletonDurability = SkeletonRun['durability']

const NODES = 3
const DURABILITIES: readonly SkeletonDurability[] = ['os', 'disk']
const IN_FLIGHT_BYTES = 2 ** 22
const SECONDS = 4
const TOY_SECONDS = 0.3
/** At a fixed rate, before those that count: connections and code get warm. */
const WARM_UP_RECORDS = 500
/** Time between the last preparation and the first record. */
const LEAD_MS = 20

/** Rates that brokers are measured at, too. */
const SKELETON_RATES = [
  { recordBytes: 100, ratePerSecond: 1000, durability: 'os' },
  { recordBytes: 100, ratePerSecond: 1000, durability: 'disk' },
  { recordBytes: 1024, ratePerSecond: 5000, durability: 'os' },
] as const

/** @param kind - `throughput` and `latency` belong beside different workloads. */
export async function skeletonCases(
  context: WorkloadContext,
  kind: 'throughput' | 'latency',
): Promise<Case[]> {
  const skeleton = await Skeleton.start(context)
  const conditions = {
    ...NO_CONDITIONS,
    acks: 'all' as const,
    replicas: NODES,
    transport: 'WebSocket' as const,
  }
  if (kind === 'throughput') {
    const totalBytes = context.isToy ? 2 ** 24 : 2 ** 29
    return DURABILITIES.flatMap((durability) =>
      SKELETON_BATCH_BYTES.map((recordBytes) => ({
        name: skeletonName(recordBytes, durability),
        conditions: { ...conditions, durability, recordBytes, inFlightBytesMax: IN_FLIGHT_BYTES },
        run: () => skeleton.measureThroughput(durability, recordBytes, totalBytes / recordBytes),
      })),
    )
  }
  return SKELETON_RATES.map(({ recordBytes, ratePerSecond, durability }) => ({
    name: skeletonName(recordBytes, durability, ratePerSecond),
    conditions: { ...conditions, durability, recordBytes, ratePerSecond },
    run: () =>
      skeleton.measureLatency(
        durability,
        recordBytes,
        ratePerSecond,
        ratePerSecond * (context.isToy ? TOY_SECONDS : SECONDS),
      ),
  }))
}

class Skeleton {
  readonly #directory: string
  readonly #nodes: readonly Worker[]
  readonly #socket: WebSocket
  #runs = 0
  #acknowledged = 0
  #onAcknowledged: (before: number, now: number) => void = () => undefined

  private constructor(directory: string, nodes: readonly Worker[], socket: WebSocket) {
    this.#directory = directory
    this.#nodes = nodes
    this.#socket = socket
    socket.on('message', (message: Buffer) => {
      const before = this.#acknowledged
      this.#acknowledged = message.readDoubleLE()
      this.#onAcknowledged(before, this.#acknowledged)
    })
  }

  static async start(context: WorkloadContext): Promise<Skeleton> {
    const nodes: Worker[] = []
    for (let index = 0; index < NODES; index++) {
      const node = await Worker.start('skeleton-node', null)
      context.onClose(() => node.stop())
      nodes.push(node)
    }
    const ports = await Promise.all(nodes.map((node) => node.call('port') as Promise<number>))
    await nodes[0]!.call('follow', ports.slice(1))
    const socket = new WebSocket(`ws://127.0.0.1:${ports[0]!}`, SKELETON_SOCKET)
    await once(socket, 'open')
    context.onClose(() => socket.terminate())
    return new Skeleton(context.directory, nodes, socket)
  }

  async measureThroughput(
    durability: SkeletonDurability,
    batchBytes: number,
    count: number,
  ): Promise<Measurement> {
    await this.#begin(durability)
    const batch = patternedBytes(batchBytes)
    const inFlightMax = IN_FLIGHT_BYTES / batchBytes
    const startMs = performance.now()
    await new Promise<void>((resolve) => {
      let sent = 0
      const fill = (): void => {
        while (sent < count && sent - this.#acknowledged < inFlightMax) {
          sent++
          this.#socket.send(batch)
        }
      }
      this.#onAcknowledged = (_, now) => {
        if (now === count) resolve()
        else fill()
      }
      fill()
    })
    const elapsedMs = performance.now() - startMs
    const { bytes, metrics, work } = await this.#end(elapsedMs)
    const throughput: Metric = { name: 'throughput', unit: 'MB/s', value: bytes / 1e3 / elapsedMs, better: 'higher' } // prettier-ignore
    return { metrics: [throughput, ...metrics], work }
  }

  async measureLatency(
    durability: SkeletonDurability,
    recordBytes: number,
    ratePerSecond: number,
    records: number,
  ): Promise<Measurement> {
    await this.#begin(durability)
    const record = patternedBytes(recordBytes)
    const latency = new Histogram()
    const all = WARM_UP_RECORDS + records
    const startMs = performance.now() + LEAD_MS
    const dueMs = (index: number): number => startMs + (index * 1e3) / ratePerSecond
    const done = new Promise<void>((resolve) => {
      this.#onAcknowledged = (before, now) => {
        const nowMs = performance.now()
        for (let index = Math.max(before, WARM_UP_RECORDS); index < now; index++) {
          latency.recordMs(nowMs - dueMs(index))
        }
        if (now === all) resolve()
      }
    })
    await pace(all, dueMs, () => this.#socket.send(record))
    await done
    const { metrics, work } = await this.#end(performance.now() - startMs)
    return { metrics, latency, work }
  }

  async #begin(durability: SkeletonDurability): Promise<void> {
    this.#acknowledged = 0
    const run = this.#runs++
    for (const [index, node] of this.#nodes.entries()) {
      const begin: SkeletonRun = { path: join(this.#directory, `skeleton-${run}-${index}.log`), durability }
      await node.call('begin', begin)
    }
  }

  async #end(elapsedMs: number): Promise<{ bytes: number; metrics: Metric[]; work: string }> {
    this.#onAcknowledged = () => undefined
    const receipts = (await Promise.all(this.#nodes.map((node) => node.call('end')))) as SkeletonReceipt[]
    const copies = new Set(receipts.map(({ bytes, crc }) => `${bytes} bytes, CRC-32C ${crc}`))
    if (copies.size !== 1) {
      throw new Error(`Measured the replication skeleton: the copies differ: ${[...copies].join(' | ')}`)
    }
    const cpuMs = receipts.reduce((total, receipt) => total + receipt.cpuMs, 0)
    const metrics: Metric[] = [
      { name: 'nodes cores', unit: 'cores', value: cpuMs / elapsedMs, better: 'lower' },
    ]
    return { bytes: receipts[0]!.bytes, metrics, work: `${NODES} times ${[...copies][0]!}` }
  }
}
