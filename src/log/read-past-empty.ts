/**
 * Reads for consumers: past batches that hold no record.
 *
 * Compaction leaves such batches, and an answer may be made of nothing else. Kafka's clients go on behind them; kafkajs
 * takes an answer without records for one without news, and asks for the same offset again, for ever. So a consumer is
 * given batches without records only together with others, or where nothing else is left below `endOffset`.
 *
 * Data plane: for a slice that begins with a record, which is nearly every one, one look at its first header.
 */
import { batchSizeAt, recordCountAt } from '../records/batch-header.ts'
import type { LogSlice } from './log-slice.ts'

/** The part of a log that is read here. */
interface Readable {
  read(
    startOffset: number,
    endOffset: number,
    bytesMax: number,
    atLeastOneBatch: boolean,
  ): LogSlice | Promise<LogSlice>
}

/** As `PartitionLog.read`. */
export function readPastEmpty(
  log: Readable,
  startOffset: number,
  endOffset: number,
  bytesMax: number,
  atLeastOneBatch: boolean,
): LogSlice | Promise<LogSlice> {
  const slice = log.read(startOffset, endOffset, bytesMax, atLeastOneBatch)
  if (slice instanceof Promise) {
    return slice.then((read) =>
      hasRecord(read) ? read : goOn(log, read, endOffset, bytesMax, atLeastOneBatch),
    )
  }
  return hasRecord(slice) ? slice : goOn(log, slice, endOffset, bytesMax, atLeastOneBatch)
}

/** The next slice with a record; `empty`, which has none, if there is no such slice. */
async function goOn(
  log: Readable,
  empty: LogSlice,
  endOffset: number,
  bytesMax: number,
  atLeastOneBatch: boolean,
): Promise<LogSlice> {
  for (let { endOffset: offset } = empty; ;) {
    const slice = await log.read(offset, endOffset, bytesMax, atLeastOneBatch)
    if (slice.bytes === 0) return empty
    if (hasRecord(slice)) return slice
    offset = slice.endOffset
  }
}

/** Also of a slice without batches: there is nothing to go past. */
function hasRecord(slice: LogSlice): boolean {
  if (slice.bytes === 0) return true
  for (const chunk of slice.chunks) {
    for (let at = 0; at < chunk.length; at += batchSizeAt(chunk, at))
      if (recordCountAt(chunk, at) > 0) return true
  }
  return false
}
