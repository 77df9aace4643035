/** What a `LogManager` stands on, and what it is told. */
import type { FileSystem, Random } from '../env/index.ts'
import type { LogConfig, LogPorts } from './log-config.ts'
import type { PartitionLog } from './partition-log.ts'

export interface LogManagerPorts extends LogPorts {
  readonly random: Random
}

export interface LogManagerOptions {
  /** Absolute path of the data directory. */
  readonly directory: string
  readonly nodeId: number
  /** Null or absent: the directory's own, and a new one for a new directory. */
  readonly clusterId?: string | null
  /**
   * Whether the directory, which names another cluster or node, has never taken part in anything: it then becomes this
   * node's. Asked while the directory is locked. Default: it may have, so that it is refused.
   */
  readonly isUnused?: () => Promise<boolean>
  /** Where logs of durability `memory` live. */
  readonly memoryFiles: FileSystem
  /** Configuration of a log that is there when the directory is opened, until `updateConfig`. */
  readonly configFor?: (topic: string) => LogConfig
  /**
   * Offset below which a log is committed: retention stops there, and the checkpoint says it. Null: not known now, so what
   * the checkpoint said stays. Default: its durable end.
   */
  readonly highWatermarkOf?: (log: PartitionLog) => number | null
  /** Bytes of written batches that all logs together keep in memory. */
  readonly tailCacheBytes?: number
  readonly retentionCheckMs?: number
  readonly checkpointMs?: number
  /** Ms between looks for a log to compact. */
  readonly cleanerIntervalMs?: number
  /** Bytes that the keys of one pass of compaction may take; a log with more keys takes several passes. */
  readonly cleanerMapBytes?: number
  /** Bytes a second that compaction may read; Infinity: no bound. */
  readonly cleanerBytesPerSecond?: number
}

/** Where the options say nothing. */
export const DEFAULTS = {
  tailCacheBytes: 128 * 2 ** 20,
  retentionCheckMs: 300_000,
  checkpointMs: 60_000,
  cleanerIntervalMs: 15_000,
  // A million keys in one pass; taken only while a pass has that many.
  cleanerMapBytes: 32 * 2 ** 20,
}
