/**
 * The port to the log of one shard: a partition of an internal topic, as its leader has it in one leader epoch. The broker
 * implements it over its replicas; tests over an array.
 *
 * Whoever holds one is the only one who appends to the partition in that epoch: clients may not (docs/faults.md X4). So the
 * end of the log is always where the last append left it, or what was appended is gone.
 */
import type { ErrorName } from '../protocol/errors.ts'

/** What became of a batch: its offsets, or why it is not in the log. */
export type CoordinatorAppend =
  | { readonly kind: 'appended'; readonly baseOffset: number; readonly endOffset: number }
  | { readonly kind: 'rejected'; readonly error: ErrorName; readonly message: string }

/** Whole batches, in order. */
export interface CoordinatorSlice {
  /** Cut anywhere; shared with the log, so nobody may change or keep them. */
  readonly chunks: readonly Uint8Array[]
  /** Offset after the last batch: where to read on. The offset that was asked for when there is none. */
  readonly endOffset: number
}

export interface CoordinatorLog {
  /** Index of the partition. */
  readonly index: number
  readonly leaderEpoch: number
  /** Whether this broker leads the partition in that very epoch, as far as it knows. Once false it stays so. */
  readonly isLed: boolean
  readonly logStartOffset: number
  readonly logEndOffset: number
  /** Offset after the last committed record. Says nothing about this epoch once `isLed` is false. */
  readonly highWatermark: number
  /** Largest batch that the topic takes, in bytes. */
  readonly batchBytesMax: number

  /** Why an append would be refused now, or null. */
  findAppendFault(): ErrorName | null
  /** Appends one batch in this turn; the bytes are handed over. */
  append(batch: Uint8Array): CoordinatorAppend
  /**
   * Reads up to the end of the log, what is not committed included. At least one batch, however large, if there is one.
   *
   * @throws {Error} when the log cannot be read, or no longer begins at or before `startOffset`.
   */
  read(startOffset: number, bytesMax: number): CoordinatorSlice | Promise<CoordinatorSlice>
  /** Calls `watcher` when the high watermark moved, leadership changed, or something appended was lost. One at a time. */
  watch(watcher: () => void): void
  unwatch(): void
}
