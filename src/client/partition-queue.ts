/**
 * The batches of one partition between `send` and acknowledgement: what may be sent next, and what an outcome means for
 * the order and the sequence numbers. A pure state machine: it knows no clock and no network.
 *
 *   open/closed ──take──> in flight ──acknowledged──> gone
 *                 ▲            │ retriable
 *                 └─ retries <─┘         (lowest order first, one at a time)
 *
 * Invariants, for an idempotent producer:
 * - Batches are numbered when they are first sent, without gaps; a batch keeps its numbers in every retry.
 * - While a batch is to be retried, nothing else of the partition is sent: retries leave one by one, in order, each after
 *   everything before it has an outcome. So a retry can neither overtake nor be overtaken.
 * - A batch that failed for good leaves a gap that the broker would refuse for ever. Then the partition starts over at
 *   sequence 0 under a new epoch, once nothing is in flight. The new epoch also shuts out what of the old one may still
 *   lie in some socket.
 * - A batch that may be in the log is never renumbered, since the broker could not know it again: it gets its answer under
 *   its own numbers, or fails as unknown. So nothing is ever written twice.
 *
 * @see KIP-98 for sequences, KIP-360 for starting over.
 */
import { assert } from '../base/assert.ts'
import { Deque } from '../base/deque.ts'
import { setProducerFields } from '../records/batch-builder.ts'
import type { ProducerBatch, ProducerIdentity } from './producer-batch.ts'

/** Sequences are int32 and go round within the positive ones. */
const SEQUENCE_COUNT = 0x8000_0000

export interface TakeOptions {
  readonly nowMs: number
  readonly lingerMs: number
  /** Somebody waits for everything to leave: a batch that could still grow is sent, too. */
  readonly isFlushing: boolean
}

export class PartitionQueue {
  readonly topic: string
  readonly partition: number
  /** Not sent yet, oldest first. Only the last one may be open. */
  readonly #fresh = new Deque<ProducerBatch>()
  /** The last of `#fresh`, while records may be appended to it. */
  open: ProducerBatch | null = null
  /** To be sent again, by order. */
  readonly #retries: ProducerBatch[] = []
  /** Sent and without an outcome, by order. */
  readonly #inFlight: ProducerBatch[] = []
  #nextOrder = 0
  #identity: ProducerIdentity | null = null
  #nextSequence = 0
  /** A number was lost for good, or the broker lost track: no new numbers under this identity. */
  #isBroken = false
  /** Nothing is sent before this, on the monotonic clock: the pause before a retry. */
  notBeforeMs = 0

  constructor(topic: string, partition: number) {
    this.topic = topic
    this.partition = partition
  }

  get inFlightCount(): number {
    return this.#inFlight.length
  }

  /** Nothing waits to be sent. */
  get isIdle(): boolean {
    return this.#fresh.count === 0 && this.#retries.length === 0
  }

  get identity(): ProducerIdentity | null {
    return this.#identity
  }

  /** Whether the next batch to be sent must be given numbers under another identity first (`startOver`). */
  get needsIdentity(): boolean {
    if (this.#inFlight.length > 0 || this.isIdle) return false
    if (this.#identity === null) return true
    // A head that may be in the log asks for its answer under the old numbers first.
    return this.#isBroken && this.#retries[0]?.mayBeInLog !== true
  }

  /** Every batch without an outcome. */
  batches(): readonly ProducerBatch[] {
    return [...this.#inFlight, ...this.unsent()]
  }

  /** Every batch that waits to be sent, in the order in which they will be. */
  unsent(): readonly ProducerBatch[] {
    const batches = [...this.#retries]
    for (let left = this.#fresh.count; left > 0; left--) {
      const batch = this.#fresh.shift()!
      this.#fresh.push(batch)
      batches.push(batch)
    }
    return batches
  }

  add(batch: ProducerBatch): void {
    this.#fresh.push(batch)
    this.open = batch
  }

  /** When its oldest unsent batch was begun; Infinity when there is none. */
  get oldestUnsentAtMs(): number {
    return this.#retries[0]?.createdAtMs ?? this.#fresh.peek()?.createdAtMs ?? Infinity
  }

  /** The batch that may be sent now, or null. It stays where it is until `sent`. */
  next(options: TakeOptions, isIdempotent: boolean): ProducerBatch | null {
    if (options.nowMs < this.notBeforeMs) return null
    const retry = this.#retries[0]
    if (retry !== undefined) return this.#inFlight.length === 0 ? retry : null
    const batch = this.#fresh.peek()
    if (batch === undefined) return null
    if (isIdempotent && this.#isBroken) return null // `needsIdentity`, once nothing is in flight
    if (batch !== this.open || options.isFlushing) return batch
    if (options.lingerMs === 0) return this.#inFlight.length === 0 ? batch : null
    // The sum, as in the timer for it: the difference of the same times may round to less, and nothing would wake again.
    return options.nowMs >= batch.createdAtMs + options.lingerMs ? batch : null
  }

  /** Moves a batch that `next` named to those in flight, and gives it numbers if it has none. */
  sent(batch: ProducerBatch, isIdempotent: boolean): void {
    if (this.#retries[0] === batch) this.#retries.shift()
    else {
      assert(this.#fresh.shift() === batch, `Batches of ${this.topic}-${this.partition} left out of order`)
      if (this.open === batch) this.open = null
      batch.order = this.#nextOrder++
      if (isIdempotent) this.#number(batch)
    }
    batch.attemptCount++
    this.#inFlight.push(batch)
  }

  /** The batch is in the log. */
  acknowledged(batch: ProducerBatch): void {
    remove(this.#inFlight, batch)
  }

  /** The batch goes back to be sent again. */
  retry(batch: ProducerBatch): void {
    remove(this.#inFlight, batch)
    const place = this.#retries.findIndex((other) => other.order > batch.order)
    this.#retries.splice(place < 0 ? this.#retries.length : place, 0, batch)
  }

  /** The batch will not be sent any more, wherever it is. Its numbers, if it has any, are lost. */
  drop(batch: ProducerBatch): void {
    if (!remove(this.#inFlight, batch) && !remove(this.#retries, batch)) this.#dropFresh(batch)
    if (batch.identity !== null && batch.identity === this.#identity) this.#isBroken = true
  }

  /** Puts the halves of a batch that is to be retried in its place; its numbers are theirs. */
  replace(batch: ProducerBatch, head: ProducerBatch, tail: ProducerBatch): void {
    remove(this.#inFlight, batch)
    const followers = [...this.#inFlight, ...this.#retries]
      .map(({ order }) => order)
      .filter((order) => order > batch.order)
    head.order = batch.order
    tail.order = (batch.order + Math.min(batch.order + 1, ...followers)) / 2
    const lower = this.#retries.filter((other) => other.order < batch.order)
    const higher = this.#retries.filter((other) => other.order > batch.order)
    this.#retries.splice(0, Infinity, ...lower, head, tail, ...higher)
  }

  /**
   * Whether a batch that came before this one has no outcome, or failed: then its sequence could not fit, and the refusal
   * says nothing about it. Not so for a batch that may be in the log once the numbers are broken: it was asked about by
   * itself, and the broker does not know it.
   */
  hasGapBefore(batch: ProducerBatch): boolean {
    const isBefore = (other: ProducerBatch): boolean => other.order < batch.order
    if (this.#inFlight.some(isBefore) || this.#retries.some(isBefore)) return true
    return this.#isBroken && !batch.mayBeInLog
  }

  /** The broker does not know our numbers any more though nothing is missing: start over when possible. */
  lostTrack(): void {
    this.#isBroken = true
  }

  /**
   * Numbers everything that is to be retried anew, from 0 under `identity`.
   *
   * @returns Batches that may be in the log behind one that is not: they cannot be numbered anew nor wait for an answer
   *   that would come. They are dropped here; the caller fails them as unknown.
   */
  startOver(identity: ProducerIdentity): readonly ProducerBatch[] {
    assert(this.#inFlight.length === 0, `Numbers of ${this.topic}-${this.partition} changed in flight`)
    const unknown = this.#retries.filter((batch) => batch.mayBeInLog)
    for (const batch of unknown) remove(this.#retries, batch)
    this.#identity = identity
    this.#nextSequence = 0
    this.#isBroken = false
    for (const batch of this.#retries) {
      this.#number(batch)
      if (batch.bytes !== null) {
        const { producerId, producerEpoch } = identity
        setProducerFields(batch.bytes, producerId, producerEpoch, batch.baseSequence)
      }
    }
    return unknown
  }

  #number(batch: ProducerBatch): void {
    assert(
      this.#identity !== null,
      `Batch of ${this.topic}-${this.partition} sent before there was an identity`,
    )
    batch.identity = this.#identity
    batch.baseSequence = this.#nextSequence
    this.#nextSequence = (this.#nextSequence + batch.recordCount) % SEQUENCE_COUNT
  }

  #dropFresh(batch: ProducerBatch): void {
    for (let left = this.#fresh.count; left > 0; left--) {
      const other = this.#fresh.shift()!
      if (other !== batch) this.#fresh.push(other)
    }
    if (this.open === batch) this.open = null
  }
}

function remove(batches: ProducerBatch[], batch: ProducerBatch): boolean {
  const place = batches.indexOf(batch)
  if (place >= 0) batches.splice(place, 1)
  return place >= 0
}
