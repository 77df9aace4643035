/**
 * The configuration of one log and the ports it stands on. Every default of the log layer is here.
 */
import type { Clock, FileSystem, Logger } from '../env/index.ts'

export interface LogPorts {
  readonly clock: Clock
  readonly files: FileSystem
  readonly logger: Logger
}

export interface LogConfig {
  /**
   * When an append counts as durable, and so may be acknowledged: `disk` once it is synced, `os` once the operating
   * system has it, `memory` likewise, on a file system in memory.
   */
  readonly durability: 'disk' | 'os' | 'memory'
  /** Largest segment in bytes; a larger batch gets a segment of its own. At most 2^31 - 1: positions are int32 in the index. */
  readonly segmentBytes: number
  /** A segment takes appends for at most this many ms of the broker's (monotonic) time. */
  readonly segmentMs: number
  /** Age in ms at which a segment is deleted; -1: never. */
  readonly retentionMs: number
  /** Size in bytes above which the oldest segments are deleted; -1: unlimited. */
  readonly retentionBytes: number
  /** Bytes of log between two index entries. */
  readonly indexIntervalBytes: number
  /** Largest index file in bytes; a full one ends its segment. */
  readonly indexBytesMax: number
  /** `cleanup.policy` names `delete`: retention applies. */
  readonly deletesOldSegments: boolean
  /** `cleanup.policy` names `compact`: of each key only the newest record stays. */
  readonly isCompacted: boolean
  /** Ms for which compaction keeps a record without value after it has removed the older ones of its key. */
  readonly deleteRetentionMs: number
  /** Share of the bytes that must be new, of those that compaction may look at, before it does: 0 to 1. */
  readonly minCleanableDirtyRatio: number
  /** Ms for which a record stays out of compaction. */
  readonly minCompactionLagMs: number
  /** Ms after which a record is compacted whatever the share of new ones; Infinity: no bound. */
  readonly maxCompactionLagMs: number
  /** Ms between a topic's deletion and the removal of its files. */
  readonly fileDeleteDelayMs: number
  /** Bytes of recent batches kept in memory once they are written. */
  readonly tailCacheBytes: number
  /** Ms without an append after which a producer's state is forgotten. */
  readonly producerIdExpirationMs: number
  /** Producers whose state is kept; past it the longest silent are forgotten (docs/faults.md X25). */
  readonly producerCountMax: number
}

const MIB = 2 ** 20
const DAY_MS = 86_400_000

export const DEFAULT_LOG_CONFIG: LogConfig = {
  durability: 'disk',
  segmentBytes: 1024 * MIB,
  segmentMs: 7 * DAY_MS,
  retentionMs: 7 * DAY_MS,
  retentionBytes: -1,
  indexIntervalBytes: 4096,
  indexBytesMax: 10 * MIB,
  deletesOldSegments: true,
  isCompacted: false,
  deleteRetentionMs: DAY_MS,
  minCleanableDirtyRatio: 0.5,
  minCompactionLagMs: 0,
  maxCompactionLagMs: Infinity,
  fileDeleteDelayMs: 60_000,
  tailCacheBytes: 16 * MIB,
  producerIdExpirationMs: DAY_MS,
  // About 300 bytes each, so 3 MB for a log under attack; real logs have tens.
  producerCountMax: 10_000,
}

/** Positions in a segment are int32 in its index. */
export const SEGMENT_BYTES_MAX = 2 ** 31 - 1

/** Offsets in a segment's index are uint31 relative to its base offset. */
export const RELATIVE_OFFSET_MAX = 2 ** 31 - 1
