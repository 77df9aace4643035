/**
 * The port to the quorum that orders the metadata log. The controller and the brokers know this interface only; behind it
 * is `RaftQuorum`, with one voter or with several.
 *
 * To the quorum a record is bytes. What it promises (docs/faults.md M1-M11):
 * - One leader per epoch; the epoch of a new leader is above all before it and durable before it is used.
 * - `append` takes the records of one change as one batch: all of them are committed, or none.
 * - What is committed stays, in its order; the listener gets exactly the committed batches, in order, without gaps.
 * - The listener begins with a snapshot or at offset 0 and is fed from there: replaying is the same as living.
 */

/** Largest batch in bytes. The largest change, the fencing of a broker with 100,000 partitions, takes some 9 MB. */
export const METADATA_BATCH_BYTES_MAX = 16 * 1024 * 1024

/** Appends that wait for their commit; more mean that the disk stands still, and callers are refused. */
export const PENDING_APPENDS_MAX = 1000

/** A leader, as one that follows it knows it. */
export interface HeardLeader {
  readonly id: number
  /** When it answered last, in monotonic ms. */
  readonly heardMs: number
}

export interface MetadataQuorum {
  readonly nodeId: number
  /** The node that leads, as far as this one knows; null while there is none. */
  readonly leaderId: number | null
  /** The last leader that this node has followed since it was started; null if there was none. */
  readonly lastLeader: HeardLeader | null
  /** Epoch of the leader; rises with every change of leader, and with every start of a single voter. */
  readonly leaderEpoch: number
  /** Offset after the last committed record. */
  readonly highWatermark: number
  /** Offset that the next record appended here gets. */
  readonly logEndOffset: number

  /**
   * Appends the records of one change as one batch. Offsets are assigned before this returns: the first record gets
   * the `logEndOffset` from before the call.
   *
   * @param leaderEpoch - The epoch in which the caller made up its mind; another leader may have come since.
   * @param records - At least one; `METADATA_BATCH_BYTES_MAX` bytes in all.
   * @returns The offset of the last record, once it is committed and was handed to the listener.
   * @throws {QuorumError} `QUORUM_NOT_LEADER` (nothing was appended); `QUORUM_BUSY` over `PENDING_APPENDS_MAX`,
   *   `QUORUM_BATCH_TOO_LARGE` (nothing was appended); `QUORUM_ROLLED_BACK` (the disk was full: the batch is gone, the
   *   quorum goes on); `QUORUM_LEADERSHIP_LOST` (the outcome is unknown, another node decides);
   *   `QUORUM_FAILED` (the outcome is unknown, the quorum has stopped).
   */
  append(leaderEpoch: number, records: readonly Uint8Array[]): Promise<number>

  /**
   * Feeds `listener` with everything committed, from the newest snapshot on. Called once.
   *
   * @returns Once the listener has all that was committed when it subscribed.
   * @throws {QuorumError} `QUORUM_SNAPSHOT_CORRUPT`, `QUORUM_LOG_CORRUPT`, `QUORUM_FAILED`; whatever the listener throws.
   */
  subscribe(listener: QuorumListener): Promise<void>

  /** Stops: waits for what was appended, then lets go of the log. Calling it twice is harmless. */
  close(): Promise<void>
}

/** Who follows the metadata log. Calls come one at a time. Whatever one throws stops the quorum. */
export interface QuorumListener {
  /** Everything before `snapshot.endOffset`, in place of the records. Comes first, if at all. */
  onSnapshot(snapshot: QuorumSnapshot): void
  /** The next committed batch. A batch without records (a new leader's mark) moves the offset only. */
  onCommit(batch: CommittedBatch): void
  /** What a snapshot at the offset after the last batch must hold; null for none. Asked after `onCommit`. */
  takeSnapshot(): QuorumSnapshot | null
  /**
   * Batches from `fromOffset` on are not to be built on any more, and decisions that did must be made anew: they are gone,
   * or this node leads no more and another decides what becomes of them. Those that are committed come by `onCommit`.
   */
  onRolledBack(fromOffset: number): void
  /** The quorum has stopped for good on this node; appends under way are rejected after this. */
  onFailed(error: QuorumError): void
}

export interface CommittedBatch {
  readonly baseOffset: number
  /** Offset after the batch. */
  readonly endOffset: number
  readonly epoch: number
  /** Wall clock of the leader when it appended, in ms. */
  readonly timestampMs: number
  /** Views of memory that the listener must not keep; it decodes them in the call. */
  readonly records: readonly Uint8Array[]
}

export interface QuorumSnapshot {
  /** All records before this offset are in the snapshot. */
  readonly endOffset: number
  /** Epoch of the last of them. */
  readonly epoch: number
  /** May be made while it is taken; can be gone through once. */
  readonly records: Iterable<Uint8Array>
}

export type QuorumErrorCode =
  | 'QUORUM_NOT_LEADER'
  | 'QUORUM_BUSY'
  | 'QUORUM_BATCH_TOO_LARGE'
  | 'QUORUM_ROLLED_BACK'
  | 'QUORUM_LEADERSHIP_LOST'
  | 'QUORUM_FAILED'
  | 'QUORUM_CLOSED'
  | 'QUORUM_STATE_CORRUPT'
  | 'QUORUM_SNAPSHOT_CORRUPT'
  | 'QUORUM_LOG_CORRUPT'

export class QuorumError extends Error {
  override readonly name = 'QuorumError'
  readonly code: QuorumErrorCode

  constructor(code: QuorumErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}
