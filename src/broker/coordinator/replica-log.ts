/**
 * A partition of an internal topic as its coordinator's log: `CoordinatorLog` over the replica that leads it.
 *
 * Invariant: it speaks for one leader epoch of one `Partition`. In another epoch, or after the partition was opened anew, it
 * is led no more.
 */
import type {
  CoordinatorAppend,
  CoordinatorLog,
  CoordinatorSlice,
} from '../../coordinator/coordinator-log.ts'
import type { ErrorName } from '../../protocol/errors.ts'
import { readBatchHeader } from '../../records/batch-header.ts'
import type { Partition } from '../../replication/partition.ts'

const ACKS_ALL = -1

export class ReplicaLog implements CoordinatorLog {
  readonly partition: Partition
  readonly index: number
  readonly leaderEpoch: number
  readonly #batchBytesMax: () => number
  #watcher: (() => void) | null = null
  readonly #changed = (): void => this.#watcher?.()

  /** @param batchBytesMax - `max.message.bytes` of the topic, now. */
  constructor(partition: Partition, batchBytesMax: () => number) {
    this.partition = partition
    this.index = partition.index
    this.leaderEpoch = partition.leaderEpoch
    this.#batchBytesMax = batchBytesMax
  }

  get isLed(): boolean {
    const { stopped, isLeader, leaderEpoch } = this.partition
    return stopped === null && isLeader && leaderEpoch === this.leaderEpoch
  }

  get logStartOffset(): number {
    return this.partition.log.logStartOffset
  }

  get logEndOffset(): number {
    return this.partition.log.logEndOffset
  }

  get highWatermark(): number {
    return this.partition.highWatermark
  }

  get batchBytesMax(): number {
    return this.#batchBytesMax()
  }

  findAppendFault(): ErrorName | null {
    const { partition } = this
    if (partition.stopped !== null) return partition.stopped
    if (!this.isLed || partition.isEpochSpent) return 'NOT_LEADER_OR_FOLLOWER'
    return partition.isUnderMinIsr ? 'NOT_ENOUGH_REPLICAS' : null
  }

  append(batch: Uint8Array): CoordinatorAppend {
    if (!this.isLed) {
      const message = `Appended in leader epoch ${this.leaderEpoch}: it is over`
      return { kind: 'rejected', error: 'NOT_LEADER_OR_FOLLOWER', message }
    }
    const result = this.partition.appendAsLeader(batch, readBatchHeader(batch, 0))
    if (result.kind === 'rejected') return result
    const { baseOffset, lastOffset } = result
    const endOffset = lastOffset + 1
    // Whatever becomes of it: undone for want of room, too, which nobody else is told.
    this.partition.whenAcked(endOffset, ACKS_ALL, Infinity, this.#changed)
    return { kind: 'appended', baseOffset, endOffset }
  }

  read(startOffset: number, bytesMax: number): CoordinatorSlice | Promise<CoordinatorSlice> {
    return this.partition.readForReplica(startOffset, bytesMax, true)
  }

  watch(watcher: () => void): void {
    this.#watcher = watcher
    this.partition.watch(this.#changed)
  }

  unwatch(): void {
    this.#watcher = null
    this.partition.unwatch(this.#changed)
  }
}
