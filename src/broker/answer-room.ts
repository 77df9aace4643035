/**
 * How much other brokers may answer to the fetches that this one passes on: all answers that may be on their way at once have a
 * bound. How large one will be is not known before it comes; so each fetch is given a part of the room that is left, a large
 * one while there is much, and never less than what a fetch at the end of a log needs.
 *
 * Invariant: what was given out is at most `limitBytes` and `SHARE_BYTES_MIN` for each fetch under way, whose number is
 * bounded (rpc/forward-channels.ts). A batch that is larger than its fetch's part comes all the same (KIP-74).
 */

/** A fetch at the tail of a log has less than this to carry; 2,000 of them take 128 MiB at worst. */
const SHARE_BYTES_MIN = 64 * 1024
/** A fetch takes at most this part of the room that is left, so that there is much left for the next. */
const SHARE_OF_REST = 8

export class AnswerRoom {
  readonly #limitBytes: number
  #takenBytes = 0

  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes
  }

  get takenBytes(): number {
    return this.#takenBytes
  }

  /** @param wantedBytes - What the client would take. @returns What it may get, to be given back with the answer. */
  take(wantedBytes: number): number {
    const part = Math.floor(Math.max(0, this.#limitBytes - this.#takenBytes) / SHARE_OF_REST)
    const share = Math.min(Math.max(0, wantedBytes), Math.max(SHARE_BYTES_MIN, part))
    this.#takenBytes += share
    return share
  }

  give(bytes: number): void {
    this.#takenBytes -= bytes
  }
}
