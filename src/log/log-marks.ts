/**
 * What the checkpoints of a data directory say of its logs (docs/formats.md). A log in memory has no place in them: it is
 * gone when they are read.
 */
import {
  CLEANER_CHECKPOINT,
  HIGH_WATERMARK_CHECKPOINT,
  LOG_START_CHECKPOINT,
  RECOVERY_POINT_CHECKPOINT,
} from './file-names.ts'
import type { CheckpointName } from './log-directory.ts'
import type { PartitionLog } from './partition-log.ts'

/** What they say of a log that is opened. */
export interface LogMarks {
  readonly recoveryPoint: number
  readonly logStartOffset: number
  readonly cleanedEndOffset: number
  readonly isClean: boolean
}

export interface LogMark {
  readonly topic: string
  readonly partition: number
  readonly offset: number
}

/** The lines of one checkpoint, as they are now. */
export function* marksOf(
  name: CheckpointName,
  logs: Iterable<PartitionLog>,
  highWatermarkOf: (log: PartitionLog) => number,
): Iterable<LogMark> {
  for (const log of logs) {
    if (log.config.durability === 'memory') continue
    const { topic, partition } = log
    if (name === CLEANER_CHECKPOINT && log.compaction.cleanedEndOffset === 0) continue
    yield { topic, partition, offset: markOf(name, log, highWatermarkOf) }
  }
}

function markOf(
  name: CheckpointName,
  log: PartitionLog,
  highWatermarkOf: (log: PartitionLog) => number,
): number {
  switch (name) {
    case RECOVERY_POINT_CHECKPOINT:
      return log.recoveryPoint
    case LOG_START_CHECKPOINT:
      return log.logStartOffset
    case HIGH_WATERMARK_CHECKPOINT:
      // No more than the log is sure to have after a power cut.
      return Math.min(highWatermarkOf(log), log.recoveryPoint)
    case CLEANER_CHECKPOINT:
      return log.compaction.cleanedEndOffset
  }
}
