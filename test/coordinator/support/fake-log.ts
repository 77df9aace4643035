/** A partition of a coordinator's topic as an array of batches, whose every outcome a test decides. */
import { assert } from '../../../src/base/assert.ts'
import type {
  CoordinatorAppend,
  CoordinatorLog,
  CoordinatorSlice,
} from '../../../src/coordinator/coordinator-log.ts'
import {
  decodeCoordinatorRecord,
  encodeCoordinatorRecord,
} from '../../../src/coordinator/records/coordinator-record.ts'
import type { CoordinatorRecord } from '../../../src/coordinator/records/coordinator-record.ts'
import type { ErrorName } from '../../../src/protocol/errors.ts'
import { BatchBuilder } from '../../../src/records/batch-builder.ts'
import { assignOffsets, baseOffsetAt, lastOffsetAt } from '../../../src/records/batch-header.ts'
import { CodecSet } from '../../../src/records/compression/codec-set.ts'
import { decodeRecords } from '../../../src/records/record-reader.ts'

export class FakeLog implements CoordinatorLog {
  readonly index: number
  readonly leaderEpoch: number
  batches: Uint8Array[] = []
  isLed = true
  logStartOffset = 0
  logEndOffset = 0
  highWatermark = 0
  batchBytesMax = 1_048_588
  /** Whether an append is committed at once. */
  commits = true
  fault: ErrorName | null = null
  /** What the next append is refused with, though nothing spoke against it before. */
  surprise: ErrorName | null = null
  /** Errors of the next reads. */
  readonly readErrors: Error[] = []
  readCount = 0
  readsUnderWay = 0
  onRead: () => Promise<void> = () => Promise.resolve()
  #watcher: (() => void) | null = null

  constructor(index = 0, leaderEpoch = 1) {
    this.index = index
    this.leaderEpoch = leaderEpoch
  }

  /** The same log in another epoch. */
  inEpoch(leaderEpoch: number): FakeLog {
    const next = new FakeLog(this.index, leaderEpoch)
    const { batches, logEndOffset, highWatermark } = this
    return Object.assign(next, { batches: [...batches], logEndOffset, highWatermark })
  }

  get isWatched(): boolean {
    return this.#watcher !== null
  }

  get recordCounts(): number[] {
    return this.batches.map((batch) => lastOffsetAt(batch, 0) - baseOffsetAt(batch, 0) + 1)
  }

  findAppendFault(): ErrorName | null {
    return this.fault
  }

  append(batch: Uint8Array): CoordinatorAppend {
    if (this.surprise !== null) return { kind: 'rejected', error: this.surprise, message: 'surprise' }
    assert(batch.length <= this.batchBytesMax, `Expected a batch of at most ${this.batchBytesMax} bytes`)
    const baseOffset = this.logEndOffset
    assignOffsets(batch, 0, baseOffset, this.leaderEpoch)
    this.batches.push(batch)
    this.logEndOffset = lastOffsetAt(batch, 0) + 1
    const endOffset = this.logEndOffset
    if (this.commits) this.commit()
    return { kind: 'appended', baseOffset, endOffset }
  }

  async read(startOffset: number, bytesMax: number): Promise<CoordinatorSlice> {
    this.readCount++
    this.readsUnderWay++
    await this.onRead()
    this.readsUnderWay--
    const error = this.readErrors.shift()
    if (error !== undefined) throw error
    const chunks: Uint8Array[] = []
    let bytes = 0
    let endOffset = startOffset
    for (const batch of this.batches) {
      if (lastOffsetAt(batch, 0) < startOffset) continue
      if (bytes > 0 && bytes + batch.length > bytesMax) break
      chunks.push(batch)
      bytes += batch.length
      endOffset = lastOffsetAt(batch, 0) + 1
    }
    return { chunks, endOffset }
  }

  watch(watcher: () => void): void {
    assert(this.#watcher === null, 'Expected one watcher at a time')
    this.#watcher = watcher
  }

  unwatch(): void {
    this.#watcher = null
  }

  commit(endOffset = this.logEndOffset): void {
    this.highWatermark = endOffset
    this.#watcher?.()
  }

  /** Another leads from now on. */
  depose(): void {
    this.isLed = false
    this.#watcher?.()
  }

  /** The disk was full: the last batch was undone. */
  undo(): void {
    const batch = this.batches.pop()
    this.logEndOffset = baseOffsetAt(batch!, 0)
    this.#watcher?.()
  }

  /** What an earlier leader left. */
  put(...writes: readonly (readonly CoordinatorRecord[])[]): this {
    for (const records of writes) {
      const builder = new BatchBuilder()
      for (const record of records) builder.append({ ...encodeCoordinatorRecord(record), timestamp: 1 })
      const { commits } = this
      this.commits = true
      this.append(builder.seal())
      this.commits = commits
    }
    return this
  }

  /** Every record in it. */
  records(): CoordinatorRecord[] {
    return this.batches.flatMap((batch) =>
      [...decodeRecords(batch, new CodecSet())].map(({ key, value }) =>
        decodeCoordinatorRecord(key!, value)!,
      ),
    )
  }
}

/** A commit of one offset. */
export function commitOf(group: string, offset: number, metadata = ''): CoordinatorRecord {
  return {
    kind: 'OffsetCommit',
    key: { group, topic: 'events', partition: 0 },
    value: {
      ...{ offset, leaderEpoch: -1, metadata, commitTimestamp: 1, expireTimestamp: -1 },
      topicId: 'AAAAAAAAAAAAAAAAAAAAAA',
    },
  }
}
