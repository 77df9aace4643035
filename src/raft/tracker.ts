/**
 * What a leader knows of the nodes that fetch from it: how far their disks are, when they were last heard of, and which
 * fetch of theirs waits for news. From it follow the high watermark and whether the leader still has a majority.
 *
 * Nodes are told apart by id and directory id. A node that lost its disk begins at nothing, and what its old disk had
 * no longer counts (MQ-6).
 *
 * Invariant: `endOffset` of one disk never falls, since fetches may be repeated and come late.
 */
import { ZERO_UUID } from '../bytes/uuid.ts'
import type { FetchRequest } from './raft-messages.ts'
import type { Voter, VoterSet } from './voter-set.ts'

export interface Replica {
  readonly id: number
  readonly directoryId: string
  /** All below is durable there, in this leader's log; -1: it has not fetched in this epoch. */
  endOffset: number
  /** Monotonic ms of its last request; -Infinity: none in this epoch. */
  lastFetchMs: number
  /** Monotonic ms at which it had all there was. */
  lastCaughtUpMs: number
  /** The high watermark that it was told. */
  highWatermark: number
  waiting: { readonly request: FetchRequest; readonly untilMs: number } | null
}

/** Fetchers remembered beyond the voters; the one silent for longest makes room. A cluster has some hundred brokers. */
const OBSERVERS_MAX = 1000

export class Tracker {
  readonly #replicas = new Map<string, Replica>()

  replicas(): Iterable<Replica> {
    return this.#replicas.values()
  }

  /** What is known of a fetcher, from now on. */
  get(id: number, directoryId: string): Replica {
    const key = `${id}/${directoryId}`
    let replica = this.#replicas.get(key)
    if (replica === undefined) {
      if (this.#replicas.size >= OBSERVERS_MAX) this.#forgetMostSilent()
      const heard = { lastFetchMs: -Infinity, lastCaughtUpMs: -Infinity }
      replica = { id, directoryId, endOffset: -1, highWatermark: -1, waiting: null, ...heard }
      this.#replicas.set(key, replica)
    }
    return replica
  }

  /** The fetcher that is this voter; of a voter whose disk is not known yet the last one of that id. */
  find({ id, directoryId }: Voter): Replica | null {
    if (directoryId !== ZERO_UUID) return this.#replicas.get(`${id}/${directoryId}`) ?? null
    let found: Replica | null = null
    for (const replica of this.#replicas.values()) {
      if (replica.id !== id) continue
      if (found === null || replica.lastFetchMs > found.lastFetchMs) found = replica
    }
    return found
  }

  /**
   * The largest offset below which all is durable on a majority.
   *
   * @param self - The leader; it counts like any other voter, by what is durable (MQ-2), and not if it is none.
   */
  majorityEndOffset(voters: VoterSet, self: Voter, selfDurableEndOffset: number): number {
    const offsets = voters.voters.map((voter) =>
      voter.id === self.id && voters.has(self) ? selfDurableEndOffset : (this.find(voter)?.endOffset ?? -1),
    )
    offsets.sort((a, b) => b - a)
    return offsets[voters.majority - 1] ?? -1
  }

  /** When a majority, the leader included, was last heard of together: the leader is at most that old. */
  majorityHeardMs(voters: VoterSet, self: Voter, nowMs: number): number {
    const times = voters.voters.map((voter) =>
      voter.id === self.id && voters.has(self) ? nowMs : (this.find(voter)?.lastFetchMs ?? -Infinity),
    )
    times.sort((a, b) => b - a)
    return times[voters.majority - 1] ?? -Infinity
  }

  /** Ids of other voters, best log first; of equals the lower id. */
  successors(voters: VoterSet, self: Voter): number[] {
    return voters.voters
      .filter(({ id }) => id !== self.id)
      .map((voter) => ({ id: voter.id, endOffset: this.find(voter)?.endOffset ?? -1 }))
      .sort((a, b) => b.endOffset - a.endOffset || a.id - b.id)
      .map(({ id }) => id)
  }

  #forgetMostSilent(): void {
    let silent: Replica | null = null
    for (const replica of this.#replicas.values()) {
      if (silent === null || replica.lastFetchMs < silent.lastFetchMs) silent = replica
    }
    if (silent !== null) this.#replicas.delete(`${silent.id}/${silent.directoryId}`)
  }
}
