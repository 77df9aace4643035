/**
 * What a partition remembers of each idempotent producer, so that a retried batch is recognised and a lost one noticed.
 *
 * Per producer id: its epoch, and for its last five batches of that epoch the sequence, offset and timestamp. Five, for
 * a client may have five requests under way and retry them in any order (faults.md TX-2).
 *
 * Invariants (P1, P2):
 * - `update` is a pure fold: the state is a function of the batches applied, on every replica and after every
 *   recovery. What is forgotten for lack of room depends on offsets only. Expiry by time is the one exception.
 * - `check` reads only, and the caller applies the batch in the same turn (TX-3).
 * - Sequences run from 0 to 2^31 - 1 and on to 0.
 *
 * Data plane: no allocation for a batch of a known producer or of none.
 *
 * @see KIP-98, KIP-360 (a producer whose state was lost may go on at any sequence).
 */
import { isControl, isTransactional, type BatchHeader } from '../records/batch-header.ts'

/** Batches remembered per producer: what Kafka's clients may have in flight with idempotence. */
export const BATCHES_KEPT = 5

/** Share of the producers that goes when there are too many: one in this, so that the scan for them is rare. */
const EVICTED_SHARE = 10
const SEQUENCE_MAX = 2 ** 31 - 1

export type SequenceError = 'OUT_OF_ORDER_SEQUENCE_NUMBER' | 'INVALID_PRODUCER_EPOCH'

export type ProducerCheck =
  | { readonly kind: 'new' }
  | {
      readonly kind: 'duplicate'
      readonly baseOffset: number
      readonly lastOffset: number
      readonly timestampMs: number
    }
  | { readonly kind: 'refused'; readonly error: SequenceError; readonly message: string }

export interface RememberedBatch {
  readonly lastSequence: number
  readonly lastOffset: number
  /** Last offset minus base offset, which is also the sequences' distance. */
  readonly offsetDelta: number
  readonly timestampMs: number
}

const NEW: ProducerCheck = { kind: 'new' }

/** One producer. Batches are kept as flat numbers, oldest first, so that a new one allocates nothing. */
export class ProducerEntry {
  readonly producerId: number
  epoch: number
  coordinatorEpoch = -1
  /** First offset of its open transaction, or -1. */
  transactionFirstOffset = -1
  /** Last offset that it wrote, markers on its behalf included: who has been silent longest. */
  lastOffset = -1
  /** Monotonic ms of its last append or of the start of this process; not part of the fold. */
  lastSeenMs: number
  count = 0
  readonly #fields = new Float64Array(BATCHES_KEPT * 4)

  constructor(producerId: number, epoch: number, nowMs: number) {
    this.producerId = producerId
    this.epoch = epoch
    this.lastSeenMs = nowMs
  }

  lastSequenceAt(index: number): number {
    return this.#fields[index * 4]!
  }

  get lastSequence(): number {
    return this.count === 0 ? -1 : this.lastSequenceAt(this.count - 1)
  }

  batchAt(index: number): RememberedBatch {
    const at = index * 4
    return {
      lastSequence: this.#fields[at]!,
      lastOffset: this.#fields[at + 1]!,
      offsetDelta: this.#fields[at + 2]!,
      timestampMs: this.#fields[at + 3]!,
    }
  }

  push(lastSequence: number, lastOffset: number, offsetDelta: number, timestampMs: number): void {
    if (this.count === BATCHES_KEPT) this.#fields.copyWithin(0, 4)
    else this.count++
    const at = (this.count - 1) * 4
    this.#fields[at] = lastSequence
    this.#fields[at + 1] = lastOffset
    this.#fields[at + 2] = offsetDelta
    this.#fields[at + 3] = timestampMs
  }

  /** Whether one of the batches kept ends at `lastOffset`. */
  remembers(lastOffset: number): boolean {
    for (let index = 0; index < this.count; index++)
      if (this.#fields[index * 4 + 1] === lastOffset) return true
    return false
  }

  /** Index of the batch with these sequences, or -1. */
  find(lastSequence: number, offsetDelta: number): number {
    for (let index = this.count - 1; index >= 0; index--) {
      if (this.#fields[index * 4] === lastSequence && this.#fields[index * 4 + 2] === offsetDelta)
        return index
    }
    return -1
  }
}

export class ProducerState {
  readonly #entries = new Map<number, ProducerEntry>()
  #countMax: number

  constructor(countMax: number) {
    this.#countMax = countMax
  }

  get count(): number {
    return this.#entries.size
  }

  set countMax(countMax: number) {
    this.#countMax = countMax
    this.#evict()
  }

  entries(): IterableIterator<ProducerEntry> {
    return this.#entries.values()
  }

  find(producerId: number): ProducerEntry | undefined {
    return this.#entries.get(producerId)
  }

  /** Judges a batch that is about to be appended by the leader. Reads only. */
  check(header: BatchHeader): ProducerCheck {
    if (header.producerId < 0) return NEW
    const entry = this.#entries.get(header.producerId)
    if (entry === undefined) return NEW
    if (header.producerEpoch < entry.epoch) {
      return refused(
        'INVALID_PRODUCER_EPOCH',
        `Appended a batch of producer ${header.producerId}: epoch is ${header.producerEpoch}, wanted ${entry.epoch} or more`,
      )
    }
    if (isControl(header.attributes)) return NEW
    if (header.producerEpoch > entry.epoch) {
      return header.baseSequence === 0
        ? NEW
        : refused(
            'OUT_OF_ORDER_SEQUENCE_NUMBER',
            `Appended the first batch of epoch ${header.producerEpoch} of producer ${header.producerId}: sequence is ${header.baseSequence}, wanted 0`,
          )
    }
    const expected = entry.count === 0 ? 0 : nextSequence(entry.lastSequence)
    if (header.baseSequence === expected) return NEW
    const index = entry.find(lastSequenceOf(header), header.lastOffsetDelta)
    if (index >= 0) {
      const { lastOffset, offsetDelta, timestampMs } = entry.batchAt(index)
      return { kind: 'duplicate', baseOffset: lastOffset - offsetDelta, lastOffset, timestampMs }
    }
    return refused(
      'OUT_OF_ORDER_SEQUENCE_NUMBER',
      `Appended a batch of producer ${header.producerId}: sequence is ${header.baseSequence}, wanted ${expected}`,
    )
  }

  /**
   * Folds in a batch that is in the log.
   *
   * @param baseOffset - The assigned one; `header` may be from before the assignment.
   * @param nowMs - Monotonic ms, for expiry only.
   */
  update(header: BatchHeader, baseOffset: number, nowMs: number): void {
    if (header.producerId < 0) return
    let entry = this.#entries.get(header.producerId)
    if (entry === undefined || header.producerEpoch > entry.epoch) {
      const transactionFirstOffset = entry?.transactionFirstOffset ?? -1
      const coordinatorEpoch = entry?.coordinatorEpoch ?? -1
      const isNew = entry === undefined
      entry = new ProducerEntry(header.producerId, header.producerEpoch, nowMs)
      entry.transactionFirstOffset = transactionFirstOffset
      entry.coordinatorEpoch = coordinatorEpoch
      entry.lastOffset = baseOffset
      this.#entries.set(header.producerId, entry)
      if (isNew) this.#evict()
    }
    const lastOffset = baseOffset + header.lastOffsetDelta
    entry.lastSeenMs = nowMs
    entry.lastOffset = lastOffset
    if (isControl(header.attributes)) {
      entry.transactionFirstOffset = -1
      return
    }
    if (isTransactional(header.attributes) && entry.transactionFirstOffset < 0) {
      entry.transactionFirstOffset = baseOffset
    }
    entry.push(lastSequenceOf(header), lastOffset, header.lastOffsetDelta, header.maxTimestamp)
  }

  /** Takes an entry from a snapshot. */
  restore(entry: ProducerEntry): void {
    this.#entries.set(entry.producerId, entry)
  }

  /** Forgets producers not heard of for `expirationMs`. Those with an open transaction stay. @returns How many went. */
  expire(nowMs: number, expirationMs: number): number {
    let expired = 0
    for (const entry of this.#entries.values()) {
      if (nowMs - entry.lastSeenMs < expirationMs || entry.transactionFirstOffset >= 0) continue
      this.#entries.delete(entry.producerId)
      expired++
    }
    return expired
  }

  #evict(): void {
    if (this.#entries.size <= this.#countMax) return
    const byAge = [...this.#entries.values()].sort((a, b) => a.lastOffset - b.lastOffset)
    const goal = this.#countMax - Math.floor(this.#countMax / EVICTED_SHARE)
    for (const entry of byAge) {
      if (this.#entries.size <= goal) break
      if (entry.transactionFirstOffset < 0) this.#entries.delete(entry.producerId)
    }
  }
}

function nextSequence(sequence: number): number {
  return sequence === SEQUENCE_MAX ? 0 : sequence + 1
}

/** Sequence of a batch's last record; past 2^31 - 1 it goes on at 0. */
function lastSequenceOf({ baseSequence, lastOffsetDelta }: BatchHeader): number {
  return baseSequence > SEQUENCE_MAX - lastOffsetDelta
    ? lastOffsetDelta - (SEQUENCE_MAX - baseSequence) - 1
    : baseSequence + lastOffsetDelta
}

function refused(error: SequenceError, message: string): ProducerCheck {
  return { kind: 'refused', error, message }
}
