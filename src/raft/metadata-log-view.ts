/**
 * The metadata log as the Raft core sees it. An epoch counts only where it has a record: the log's own list may name
 * epochs whose leaders wrote nothing that is left here.
 */
import type { PartitionLog } from '../log/partition-log.ts'
import type { LogView } from './core-state.ts'
import type { SnapshotId } from './snapshot-file.ts'

export class MetadataLogView implements LogView {
  readonly #log: PartitionLog
  readonly #snapshots: () => readonly SnapshotId[]

  constructor(log: PartitionLog, snapshots: () => readonly SnapshotId[]) {
    this.#log = log
    this.#snapshots = snapshots
  }

  get startOffset(): number {
    return this.#log.logStartOffset
  }

  get endOffset(): number {
    return this.#log.logEndOffset
  }

  get durableEndOffset(): number {
    return this.#log.durableEndOffset
  }

  get lastEpoch(): number {
    const { logStartOffset, logEndOffset } = this.#log
    if (logStartOffset < logEndOffset) return this.#entries().at(-1)?.epoch ?? 0
    return this.#snapshots().find(({ endOffset }) => endOffset === logEndOffset)?.epoch ?? 0
  }

  get firstEpoch(): number {
    const { logStartOffset } = this.#log
    const entries = this.#entries()
    const first = entries.findLast(({ startOffset }) => startOffset <= logStartOffset) ?? entries[0]
    return first?.epoch ?? -1
  }

  get snapshots(): readonly SnapshotId[] {
    return this.#snapshots()
  }

  endOffsetForEpoch(epoch: number): { readonly epoch: number; readonly endOffset: number } {
    const entries = this.#entries()
    const index = entries.findLastIndex((entry) => entry.epoch <= epoch)
    if (index < 0) return { epoch: 0, endOffset: this.#log.logStartOffset }
    return {
      epoch: entries[index]!.epoch,
      endOffset: entries[index + 1]?.startOffset ?? this.#log.logEndOffset,
    }
  }

  #entries(): readonly { readonly epoch: number; readonly startOffset: number }[] {
    const { logEndOffset } = this.#log
    return this.#log.epochEntries().filter(({ startOffset }) => startOffset < logEndOffset)
  }
}
