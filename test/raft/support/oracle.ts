/** Knows what nobody in the cluster knows: everything that was ever committed, voted and led (docs/raft.md). */
import { expect } from 'vitest'
import type { RaftMessage } from '../../../src/raft/raft-messages.ts'
import type { QuorumState } from '../../../src/raft/quorum-state.ts'
import type { CommittedBatch } from '../../../src/raft/metadata-quorum.ts'

interface KnownBatch {
  readonly endOffset: number
  readonly epoch: number
  readonly values: readonly string[]
}

export class Oracle {
  /** Highest offset that any leader ever committed. */
  trueHighWatermark = 0
  readonly #batches = new Map<number, KnownBatch>()
  readonly #leaders = new Map<number, string>()
  readonly #votes = new Map<string, string>()
  readonly acked = new Map<string, number>()

  /** M2: one vote an epoch, over all lives of the voter's disk. */
  onMessage(message: RaftMessage): void {
    if (message.kind !== 'VoteResponse' || message.isPreVote || !message.isGranted) return
    const key = `${message.fromId}/${message.fromDirectoryId} in ${message.epoch}`
    const candidate = this.#votes.get(key) ?? message.toDirectoryId
    this.#votes.set(key, candidate)
    expect(message.toDirectoryId, `M2: ${key} voted before for another candidate`).toBe(candidate)
  }

  /** M1, M2, MQ-1: what a message tells of epoch and vote has survived a power cut by then. */
  onSend(message: RaftMessage, durable: QuorumState | null): void {
    const { kind, fromId, epoch } = message
    const durableEpoch = durable?.leaderEpoch ?? 0
    expect(durableEpoch, `MQ-1: n${fromId} sent ${kind} of an epoch not durable`).toBeGreaterThanOrEqual(
      epoch,
    )
    if (durableEpoch > epoch) return
    const votedId =
      kind === 'VoteRequest' && !message.isPreVote
        ? fromId
        : kind === 'VoteResponse' && !message.isPreVote && message.isGranted
          ? this.idOf(message.toDirectoryId)
          : null
    if (votedId !== null)
      expect(durable?.votedId, `MQ-1: n${fromId} sent ${kind}, its vote not durable`).toBe(votedId)
  }

  /** Which node a disk belongs to. */
  idOf: (directoryId: string) => number = () => -1

  /** M1, and M4 as far as the end of the log goes; what is in it M3 checks when it is handed on. */
  onLeader(life: string, epoch: number, logEndOffset: number): void {
    expect(this.#leaders.get(epoch) ?? life, `M1: epoch ${epoch} has two leaders`).toBe(life)
    this.#leaders.set(epoch, life)
    expect(logEndOffset, `M4: ${life} leads ${epoch} without all that is committed`).toBeGreaterThanOrEqual(
      this.trueHighWatermark,
    )
  }

  /** M3: the same batch at the same offset, everywhere and for ever. */
  onCommit(who: string, batch: CommittedBatch, values: readonly string[]): void {
    const { baseOffset, endOffset, epoch } = batch
    const known = this.#batches.get(baseOffset) ?? { endOffset, epoch, values }
    this.#batches.set(baseOffset, known)
    expect({ endOffset, epoch, values }, `M3: ${who} at offset ${baseOffset}`).toEqual(known)
  }

  /** M6: a snapshot is the fold of exactly the records before its end. */
  onSnapshot(who: string, endOffset: number, values: readonly string[]): void {
    expect(values, `M6: ${who} got a snapshot to ${endOffset}`).toEqual(this.fold(endOffset))
  }

  fold(endOffset: number): string[] {
    const values: string[] = []
    for (let offset = 0; offset < endOffset;) {
      const batch = this.#batches.get(offset)
      if (batch === undefined) throw new Error(`M3: nobody committed offset ${offset}`)
      values.push(...batch.values)
      offset = batch.endOffset
    }
    return values
  }
}
