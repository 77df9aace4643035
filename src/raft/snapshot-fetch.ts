/**
 * A snapshot on its way from the leader, piece by piece (KIP-630): ask for a piece, write it aside, ask for the next;
 * when all is there, have it put in place of the log. If it fails at any step the follower fetches records again, and
 * the leader names the snapshot it has by then (MQ-8).
 */
import type { CoreState } from './core-state.ts'
import { RAFT_ERRORS } from './raft-messages.ts'
import type { FetchSnapshotResponse } from './raft-messages.ts'
import type { SnapshotId } from './snapshot-file.ts'

export class SnapshotFetch {
  readonly #id: SnapshotId
  /** Bytes written, or being written, aside. */
  #position = 0
  #size: number | null = null
  #isWriting = false

  constructor(id: SnapshotId) {
    this.#id = id
  }

  /** @returns The correlation id, or null when the disk has to finish first. */
  request(state: CoreState, leaderId: number): number | null {
    if (this.#isWriting) return null
    return state.send(leaderId, {
      kind: 'FetchSnapshotRequest',
      snapshotEndOffset: this.#id.endOffset,
      snapshotEpoch: this.#id.epoch,
      position: this.#position,
      maxBytes: state.settings.fetchBytesMax,
    })
  }

  /** @returns False if this snapshot is of no use any more. */
  onChunk(state: CoreState, answer: FetchSnapshotResponse): boolean {
    const isNext =
      answer.errorCode === RAFT_ERRORS.NONE &&
      answer.snapshotEndOffset === this.#id.endOffset &&
      answer.snapshotEpoch === this.#id.epoch &&
      answer.position === this.#position &&
      answer.size === (this.#size ?? answer.size) &&
      answer.chunk.length > 0 &&
      this.#position + answer.chunk.length <= answer.size
    if (!isNext) return false
    this.#size = answer.size
    this.#isWriting = true
    state.effect({
      kind: 'writeSnapshotChunk',
      id: this.#id,
      position: this.#position,
      chunk: answer.chunk,
    })
    this.#position += answer.chunk.length
    return true
  }

  onChunkWritten(state: CoreState): void {
    if (this.#position !== this.#size) {
      this.#isWriting = false
      return
    }
    // Still writing, as far as requests go: the log is replaced now.
    state.isCutting = true
    state.effect({ kind: 'installSnapshot', id: this.#id })
  }
}
