/** What a read of a log gives: whole batches, as they lie in the log. */
export interface LogSlice {
  /** Pieces in order, cut anywhere; shared with the log, so nobody may change them. */
  readonly chunks: readonly Uint8Array[]
  readonly bytes: number
  /** Base offset of the first batch, which may lie below the offset asked for; that offset itself when empty. */
  readonly startOffset: number
  /** Offset after the last batch: where to read on. */
  readonly endOffset: number
}

export function emptySlice(offset: number): LogSlice {
  return { chunks: [], bytes: 0, startOffset: offset, endOffset: offset }
}
