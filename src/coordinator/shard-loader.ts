/**
 * Loads a shard: replays the log of its partition, from the start to the end that it has now, in bounded pieces with room for
 * other work between them.
 *
 * Invariants (docs/faults.md G6, CG-1):
 * - It is done only when the state has every record below the end of the log at the election, committed or not yet: this
 *   broker leads, so they are there to stay. Anything else is a failure, and a state that failed to load answers nobody.
 * - Nothing of the state holds on to what was read: values are copied out of the pieces.
 *
 * Control batches, the marks of transactions, and the batches of transactions are passed over: nobody writes any here.
 */
import { assert } from '../base/assert.ts'
import type { Clock } from '../env/index.ts'
import { attributesAt, isControl, isTransactional } from '../records/batch-header.ts'
import { CodecSet } from '../records/compression/codec-set.ts'
import { splitBatches } from '../records/fetched-batches.ts'
import { readRecords } from '../records/record-reader.ts'
import type { CoordinatorLog } from './coordinator-log.ts'
import { decodeCoordinatorRecord } from './records/coordinator-record.ts'
import type { CoordinatorRecord } from './records/coordinator-record.ts'

/** Bytes that are read and replayed at a time: some 5,000 records, a few ms of work. */
export const LOAD_PIECE_BYTES = 524_288

export interface LoadOptions {
  readonly replay: (record: CoordinatorRecord) => void
  /** Ends the load: nobody wants its result. */
  readonly signal: AbortSignal
}

export interface LoadedShard {
  readonly endOffset: number
  readonly recordCount: number
}

/** @throws {Error} when the log cannot be read, is damaged, has changed meanwhile, or the load was given up. */
export async function loadShard(
  clock: Clock,
  log: CoordinatorLog,
  { replay, signal }: LoadOptions,
): Promise<LoadedShard> {
  const endOffset = log.logEndOffset
  const codecs = new CodecSet({ canWrite: false })
  let recordCount = 0
  for (let offset = log.logStartOffset; offset < endOffset;) {
    const { chunks, endOffset: nextOffset } = await log.read(offset, LOAD_PIECE_BYTES)
    checkStillLed(log, endOffset, signal)
    if (nextOffset <= offset) {
      throw new Error(`Cannot load shard ${log.index}: nothing was read at ${offset} of ${endOffset}`)
    }
    for (const batch of splitBatches(join(chunks))) {
      const attributes = attributesAt(batch, 0)
      if (isControl(attributes) || isTransactional(attributes)) continue
      const missing = codecs.findMissing(attributes)
      if (missing !== null) await codecs.load(missing)
      recordCount += replayBatch(batch, codecs, offset, replay)
    }
    offset = nextOffset
    await nextTurn(clock)
    checkStillLed(log, endOffset, signal)
  }
  checkStillLed(log, endOffset, signal)
  return { endOffset, recordCount }
}

/** @returns How many records it had from `startOffset` on that are known here. */
function replayBatch(
  batch: Uint8Array,
  codecs: CodecSet,
  startOffset: number,
  replay: (record: CoordinatorRecord) => void,
): number {
  let recordCount = 0
  for (const cursor = readRecords(batch, codecs); cursor.next();) {
    if (cursor.offset < startOffset) continue
    assert(
      cursor.key !== null,
      `Expected a record of a coordinator to have a key: found none at ${cursor.offset}`,
    )
    const record = decodeCoordinatorRecord(cursor.key, cursor.value?.slice() ?? null)
    if (record === null) continue
    replay(record)
    recordCount++
  }
  return recordCount
}

/** Nobody else appends, and a leader does not cut its log: an end that moved means that something was undone. */
function checkStillLed(log: CoordinatorLog, endOffset: number, signal: AbortSignal): void {
  if (signal.aborted) throw new Error(`Cannot load shard ${log.index}: it was given up`)
  if (!log.isLed) throw new Error(`Cannot load shard ${log.index}: another broker leads it by now`)
  if (log.logEndOffset !== endOffset) {
    throw new Error(
      `Cannot load shard ${log.index}: its log ends at ${log.logEndOffset}, and ended at ${endOffset}`,
    )
  }
}

function nextTurn(clock: Clock): Promise<void> {
  return new Promise((resolve) => clock.after(0, resolve))
}

/** A view if there is but one chunk. */
function join(chunks: readonly Uint8Array[]): Uint8Array {
  if (chunks.length === 1) return chunks[0]!
  const whole = new Uint8Array(chunks.reduce((size, { length }) => size + length, 0))
  let position = 0
  for (const chunk of chunks) {
    whole.set(chunk, position)
    position += chunk.length
  }
  return whole
}
