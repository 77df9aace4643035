/**
 * Keeps the batches of an idempotent producer in order when one of them failed on its way to a leader, for one connection.
 *
 * A client sends batch 2 before it hears of batch 1. If batch 1 met a leader that was one no more, and batch 2 comes when the
 * new leader is known here, then batch 2 would get there first; and a leader that never heard of the producer has nothing to
 * tell by that one is missing. A client that talks to leaders itself is safe from that, since both batches go to the old one.
 * So what follows a batch that failed is refused, NOT_LEADER_OR_FOLLOWER, until that batch comes again; it does, first,
 * since the client sends what failed in order.
 *
 * Or it never comes: by then the client knows another leader and has sent the batch there, over another connection. The
 * leadership may come back, and what follows comes here for the first time. It is refused once, and when it comes once more,
 * its client has heard of both failures, which were answered in order, and has seen to the earlier one somewhere else:
 *
 *   client                      this broker                      another
 *     1 ─────────────────────────> fails: entry {1}
 *     1 ─────────────────────────────────────────────────────────> written
 *     2 ─────────────────────────> refused: entry {1, 2}              (leadership has come back)
 *     2 ─────────────────────────> goes on, no entry
 *
 * Invariant: an entry for each partition and producer of which a batch failed and none of those that failed has come again.
 * A producer that has begun a new epoch has given up what it sent in the old one.
 */
import { ZERO_UUID } from '../bytes/uuid.ts'
import type { RequestOf, ResponseInputOf } from '../protocol/apis.ts'
import { errorByCode } from '../protocol/errors.ts'
import { BATCH_HEADER_BYTES, baseSequenceAt, producerEpochAt, producerIdAt } from '../records/batch-header.ts'

type Request = RequestOf<'Produce'>
type Response = ResponseInputOf<'Produce'>

/** Entries of one connection, some 300 bytes each. One that would need more is closed: then nothing overtakes anything. */
export const GUARDED_MAX = 1_000
/** An entry that is older, in ms, is of a batch that its client has given up: clients try for two minutes by default. */
const GIVEN_UP_MS = 300_000

/**
 * Batches that are remembered of an entry, the latest. An idempotent producer has five under way at most (KIP-98), and those
 * before them have been sent elsewhere.
 */
const SEQUENCES_MAX = 16

interface Failed {
  readonly producerEpoch: number
  /** Of the batches that failed or were refused since. Never empty. */
  readonly baseSequences: number[]
  readonly atMs: number
}

export class ProduceGuard {
  readonly #failed = new Map<string, Failed>()

  /** More partitions failed than are kept track of: the connection has to be closed. */
  get isOverrun(): boolean {
    return this.#failed.size > GUARDED_MAX
  }

  /** Whether a request may go on: it overtakes nothing that failed. @param nowMs - Monotonic. */
  admits(request: Request, nowMs: number): boolean {
    if (this.#failed.size === 0) return true
    const again: string[] = []
    for (const batch of batchesOf(request)) {
      const failed = this.#failed.get(batch.key)
      if (failed === undefined) continue
      const isPast = batch.producerEpoch !== failed.producerEpoch || nowMs - failed.atMs > GIVEN_UP_MS
      if (!isPast && !failed.baseSequences.includes(batch.baseSequence)) return false
      again.push(batch.key)
    }
    for (const key of again) this.#failed.delete(key)
    return true
  }

  /** Notes the batches of a request that failed, or was not admitted, and may come again. */
  note(request: Request, { responses }: Response, nowMs: number): void {
    const codes = new Map<string, number>()
    for (const { name, topicId, partitionResponses } of responses)
      for (const { index, errorCode } of partitionResponses)
        if (errorCode !== 0) codes.set(placeOf(name ?? '', topicId ?? ZERO_UUID, index), errorCode)
    if (codes.size === 0) return
    for (const { key, place, producerEpoch, baseSequence } of batchesOf(request)) {
      const code = codes.get(place)
      if (code === undefined || !errorByCode(code).retriable) continue
      const known = this.#failed.get(key)
      if (known === undefined || known.producerEpoch !== producerEpoch) {
        this.#failed.set(key, { producerEpoch, baseSequences: [baseSequence], atMs: nowMs })
        continue
      }
      known.baseSequences.push(baseSequence)
      if (known.baseSequences.length > SEQUENCES_MAX) known.baseSequences.shift()
    }
  }
}

/** Batches of idempotent producers; a batch that cannot be read is refused by who appends. */
function* batchesOf({ topicData }: Request) {
  for (const { name, topicId, partitionData } of topicData) {
    for (const { index, records } of partitionData) {
      if (records === null || records.length < BATCH_HEADER_BYTES) continue
      const producerId = producerIdAt(records, 0)
      if (producerId < 0) continue
      const place = placeOf(name, topicId, index)
      yield {
        place,
        key: `${place} ${producerId}`,
        producerEpoch: producerEpochAt(records, 0),
        baseSequence: baseSequenceAt(records, 0),
      }
    }
  }
}

/** As the request named it: by name or by id. */
function placeOf(name: string, topicId: string, index: number): string {
  return `${topicId} ${name} ${index}`
}
