/**
 * What `compare` puts side by side: a replicated log that can be started here, and the clients that drive it. Every
 * system does the same work with the same values, in the same order of things: `prepare` a stream with three replicas,
 * measure, `remove` it.
 */
import type { OpenLoopResult } from '../load/open-loop-load.ts'
import type { LoadResult, Measured } from '../usage.ts'
import type { Conditions, WorkloadContext } from '../workload.ts'

export const REPLICAS = 3

/** Bytes of values that a load generator has encoded once, and sends again and again. */
export const CHUNK_BYTES = 2 ** 20

export interface PeerContext extends WorkloadContext {
  /** Where the packages lie that no package manager of the system installs (bench/peers/install.ts). */
  readonly packages: string
}

export interface System {
  readonly name: string
  /** What its acknowledgement stands on, where three replicas are wanted. */
  readonly acks: Conditions['acks']
  /** What its servers and clients were told, in a few words: a reader must be able to judge whether that is fair. */
  readonly settings: string
  /** Why it cannot be measured here, or not with this durability; null when it can. */
  findObstacle(context: PeerContext): Promise<string | null>
  /** Starts its servers on an empty directory; resolves when they serve. */
  start(context: PeerContext, directory: string): Promise<RunningSystem>
  /** Names of the clients that drive it; each gets cases of its own. The first is the one whose name goes unsaid. */
  readonly clients: readonly string[]
  /** Why one of the clients cannot be had here; null when it can. */
  readonly findClientObstacle?: (context: PeerContext, client: string) => string | null
}

export interface RunningSystem {
  readonly servers: Measured
  /** Starts a client in a process of its own. */
  connect(client: string): Promise<PeerLoad>
  /** Ends servers and clients. */
  stop(): Promise<void>
}

export interface PeerWork {
  readonly recordBytes: number
  readonly records: number
}

export interface PeerLoad {
  /** Makes a stream of three replicas, all of them there, and opens connections. */
  prepare(stream: string): Promise<void>
  /** Writes as fast as it goes; resolves when all is acknowledged, and the system says that it stores as many. */
  produce(work: PeerWork): Promise<LoadResult>
  /** Reads from the beginning what `produce` of the same work wrote. */
  consume(work: PeerWork): Promise<LoadResult>
  /** Acknowledgements at a fixed rate, from when a record is due. */
  openLoop(work: PeerWork & { readonly ratePerSecond: number }): Promise<OpenLoopResult>
  remove(): Promise<void>
  stop(): Promise<void>
}

/** What was done, in the words of every system: equal words are equal work. */
export const producedText = ({ records, recordBytes }: PeerWork): string =>
  `${records} records of ${recordBytes} bytes acknowledged and stored`

/** What was read: counts, bytes, and the sum of first bytes, which depends on what the values are. */
export class ReadSum {
  records = 0
  bytes = 0
  firstBytes = 0

  add(value: Uint8Array): void {
    this.records++
    this.bytes += value.length
    this.firstBytes = (this.firstBytes + value[0]!) % FIRST_BYTES_MODULUS
  }

  toString(): string {
    return readText(this)
  }
}

export const readText = ({
  records,
  bytes,
  firstBytes,
}: Pick<ReadSum, 'records' | 'bytes' | 'firstBytes'>): string =>
  `${records} records of ${bytes} bytes in all, first bytes ${firstBytes}, read`

/** The largest prime below 2^16. */
export const FIRST_BYTES_MODULUS = 65_521
