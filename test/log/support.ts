/** Batches, logs and simulations for the tests of `src/log`. */
import type { Env } from '../../src/env/index.ts'
import { Simulation } from '../../src/env/sim/simulation.ts'
import { DEFAULT_LOG_CONFIG, type LogConfig } from '../../src/log/log-config.ts'
import { PartitionLog, type AppendResult, type PartitionLogOptions } from '../../src/log/partition-log.ts'
import { BatchBuilder } from '../../src/records/batch-builder.ts'
import { readBatchHeader } from '../../src/records/batch-header.ts'

export const TOPIC_ID = 'dG9waWMtaWQtb2YtdGVzdA'
export const DIRECTORY = '/data/orders-0'

export interface BatchOptions {
  readonly records?: number
  /** Bytes of each record's value. */
  readonly valueBytes?: number
  readonly timestampMs?: number
  readonly producerId?: number
  readonly producerEpoch?: number
  readonly baseSequence?: number
  /** Tells values apart. */
  readonly tag?: number
}

/** A batch as a producer sends it, in a buffer of its own. */
export function makeBatch(options: BatchOptions = {}): Uint8Array {
  const builder = new BatchBuilder(256)
  const value = new Uint8Array(options.valueBytes ?? 20).fill(options.tag ?? 1)
  for (let index = 0; index < (options.records ?? 1); index++) {
    builder.append({ key: null, value, timestamp: options.timestampMs ?? 1_000 })
  }
  const { producerId, producerEpoch, baseSequence } = options
  return builder
    .seal(
      producerId === undefined
        ? {}
        : { producerId, producerEpoch: producerEpoch ?? 0, baseSequence: baseSequence ?? 0 },
    )
    .slice()
}

export function append(log: PartitionLog, options: BatchOptions = {}, leaderEpoch = 0): AppendResult {
  const batch = makeBatch(options)
  return log.appendAsLeader(batch, readBatchHeader(batch), leaderEpoch)
}

export function logConfig(overrides: Partial<LogConfig> = {}): LogConfig {
  return { ...DEFAULT_LOG_CONFIG, indexIntervalBytes: 0, ...overrides }
}

export function openLog(
  env: Env,
  overrides: Partial<LogConfig> = {},
  options: Partial<PartitionLogOptions> = {},
): Promise<PartitionLog> {
  return PartitionLog.open(env, {
    directory: DIRECTORY,
    topic: 'orders',
    partition: 0,
    topicId: TOPIC_ID,
    config: logConfig(overrides),
    recoveryPoint: 0,
    logStartOffset: 0,
    wasClosedCleanly: false,
    ...options,
  })
}

/** All bytes of the log from its start to its end, read as a follower would. */
export async function readAll(log: PartitionLog): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  let offset = log.logStartOffset
  while (offset < log.logEndOffset) {
    const slice = await log.read(offset, Infinity, 2 ** 20, true)
    if (slice.bytes === 0) throw new Error(`Read nothing at offset ${offset} of ${log.logEndOffset}`)
    chunks.push(...slice.chunks)
    offset = slice.endOffset
  }
  return Buffer.concat(chunks)
}

/** A node with a disk, and its world. */
export function simulate(seed: number | string): { simulation: Simulation; env: Env } {
  const simulation = new Simulation({ seed })
  simulation.node('a').disk.prepareDirectory('/data')
  return { simulation, env: simulation.env('a') }
}

/** Resolves once all below `endOffset` is durable. */
export function whenDurable(log: PartitionLog, endOffset: number): Promise<void> {
  return new Promise((resolve) => {
    if (log.durableEndOffset >= endOffset) {
      resolve()
      return
    }
    const before = log.onDurable
    log.onDurable = (durableEndOffset) => {
      before(durableEndOffset)
      if (durableEndOffset >= endOffset) resolve()
    }
  })
}
