/** What a log is opened with, and what it asks of the data directory it is in. */
import type { FileError } from '../env/index.ts'
import type { FilePool } from './file-pool.ts'
import type { LogConfig, LogPorts } from './log-config.ts'
import type { TailCacheBudget } from './tail-cache.ts'

/**
 * What a log asks of the data directory it is in. The two saves write marks that lie outside the log's own directory;
 * each resolves once the log's present value survives a power cut.
 */
export interface LogCheckpoints {
  /** The log is about to be cut: `recoveryPoint` has been lowered, and must be on disk before the bytes go (D6). */
  saveRecoveryPoint(): Promise<void>
  /** `logStartOffset` has moved, and must be on disk before the segments below it go. */
  saveLogStart(): Promise<void>
  /** A write, a sync or a change of names failed, and no lack of room: the whole directory is in doubt (D4). */
  deviceFailed(cause: FileError): void
}

/** For a log that stands alone: its opener keeps no marks. */
export const NO_CHECKPOINTS: LogCheckpoints = {
  saveRecoveryPoint: () => Promise.resolve(),
  saveLogStart: () => Promise.resolve(),
  deviceFailed: () => undefined,
}

/** What the logs of one process share. */
export interface LogShared {
  readonly pool: FilePool
  readonly cacheBudget: TailCacheBudget
}

/** Everything a log stands on. */
export interface LogSurroundings extends LogPorts, LogShared {
  readonly directory: string
  readonly topicId: string
  readonly partition: number
}

export interface PartitionLogOptions {
  /** Absolute path of the log's directory; created if it is missing. */
  readonly directory: string
  readonly topic: string
  readonly partition: number
  readonly topicId: string
  readonly config: LogConfig
  /** From the checkpoint: all below was synced. 0 when unknown: the whole log is checked. */
  readonly recoveryPoint: number
  readonly logStartOffset: number
  /** From the checkpoint: compaction has judged all below. Default: nothing. */
  readonly cleanedEndOffset?: number
  readonly wasClosedCleanly: boolean
  readonly checkpoints?: LogCheckpoints
  readonly shared?: LogShared
}
