/**
 * What must hold after every event of a replication test (docs/faults.md section 3), and at its end. Knows what no replica
 * knows: everything that was ever committed, and how far each disk is.
 */
import { expect } from 'vitest'
import type { PartitionLog } from '../../../src/log/partition-log.ts'
import {
  baseOffsetAt,
  batchSizeAt,
  crcAt,
  lastOffsetAt,
  leaderEpochAt,
} from '../../../src/records/batch-header.ts'
import type { Partition } from '../../../src/replication/partition.ts'
import type { OracleController } from './oracle-controller.ts'
import type { NodeLife } from './replica-node.ts'

interface Committed {
  readonly endOffset: number
  readonly crc: number
  readonly epoch: number
}

/** What is remembered of one partition object, to see its high watermark move. */
interface Seen {
  highWatermark: number
  logEndOffset: number
  logStartOffset: number
  leaderEpoch: number
  wasEmpty: boolean
  wasLeader: boolean
}

class PartitionTruth {
  /** Highest offset that any leader ever committed. */
  highWatermark = 0
  /** Highest log start that any leader had. */
  readonly batches = new Map<number, Committed>()
  /** Who appended, or may have, in a leader epoch. */
  readonly leaders = new Map<number, number>()
  /** Durable end by node, as last seen. */
  readonly durable = new Map<number, number>()
  readonly ends = new Map<number, number>()
}

export class ReplicaInvariants {
  readonly counts = { committedBatches: 0, unseenCommits: 0, cutsBelowOwnEnd: 0 }
  readonly #controller: OracleController
  readonly #life: (id: number) => NodeLife | null
  #truths: PartitionTruth[] = []
  #seen = new WeakMap<Partition, Seen>()
  #topicId = ''

  constructor(controller: OracleController, life: (id: number) => NodeLife | null) {
    this.#controller = controller
    this.#life = life
  }

  truth(index: number): PartitionTruth {
    return this.#truths[index]!
  }

  /** After every event. Reads only. */
  check(): void {
    const { topicId, partitions } = this.#controller
    if (topicId !== this.#topicId) {
      this.#topicId = topicId
      this.#truths = partitions.map(() => new PartitionTruth())
    }
    for (const [index, truth] of this.#truths.entries()) {
      for (const id of this.#controller.brokers.keys()) this.#observe(index, truth, id)
      this.#checkCandidates(index, truth)
    }
  }

  /** R13: who says that a batch is committed must have it committed, on the disks of all whom it takes for in sync. */
  acked(partition: Partition, lastOffset: number): void {
    if (partition.topicId !== this.#topicId) return
    const { highWatermark, index, isr, isUnderMinIsr } = partition
    const where = { index, id: partition.leaderId ?? -1 }
    if (highWatermark <= lastOffset)
      fail('R13: acknowledged below the high watermark', where, highWatermark, lastOffset)
    if (isUnderMinIsr) fail('R13: acknowledged by enough replicas', where, isr, 'min.insync.replicas')
    const truth = this.truth(index)
    for (const id of isr) {
      // One that was taken away meanwhile has dropped its log.
      if (!this.#controller.partitions[index]!.isr.includes(id)) continue
      const durable = this.#durableOf(index, truth, id)
      if (durable <= lastOffset) fail(`R13: acknowledged on the disk of ${id}`, where, durable, lastOffset)
    }
  }

  /** R4, R16: all replicas hold the same bytes, and all that was ever committed is among them. */
  async checkEqual(): Promise<void> {
    for (const [index, truth] of this.#truths.entries()) {
      const { replicas } = this.#controller.partitions[index]!
      const logs = replicas.map((id) => this.#life(id)!.partition(index)!.log)
      const starts = logs.map(({ logStartOffset }) => logStartOffset)
      const from = Math.max(...starts)
      const [first, ...others] = await Promise.all(logs.map((log) => readFrom(log, from)))
      for (const other of others)
        expect(other.equals(first!), `R16: replicas of ${index} are equal`).toBe(true)
      for (const [base, batch] of batchesOf(first!)) {
        const committed = truth.batches.get(base)
        if (committed !== undefined) expect(batch, `R1: committed batch ${base}`).toEqual(committed)
      }
      const found = new Map(batchesOf(first!))
      for (const [base, { endOffset }] of truth.batches)
        if (endOffset > from) expect(found.has(base), `R1: committed batch ${base} is there`).toBe(true)
      // P2: what replicas know of producers follows from the log. Who began anew knows those that are left in it.
      if (from > 0) continue
      for (const log of logs) expect(log.producers().count, 'P2').toBe(logs[0]!.producers().count)
    }
  }

  #durableOf(index: number, truth: PartitionTruth, id: number): number {
    const partition = this.#life(id)?.partition(index)
    return partition?.topicId === this.#topicId
      ? partition.log.durableEndOffset
      : (truth.durable.get(id) ?? 0)
  }

  #observe(index: number, truth: PartitionTruth, id: number): void {
    const partition = this.#life(id)?.partition(index)
    if (partition?.topicId !== this.#topicId) return
    const { log, highWatermark, leaderEpoch } = partition
    const { logStartOffset, logEndOffset, durableEndOffset } = log
    const where = { index, id }
    let seen = this.#seen.get(partition)
    if (seen === undefined) {
      const none = { highWatermark: 0, logStartOffset: 0, logEndOffset: 0 }
      seen = { ...none, leaderEpoch, wasEmpty: false, wasLeader: false }
      this.#seen.set(partition, seen)
    }
    // Also while the log is being cut.
    if (highWatermark > logEndOffset)
      fail('R12: only what is there is committed', where, highWatermark, logEndOffset)
    if (partition.fetchPosition() !== null || partition.isLeader) {
      // A replica that begins anew in the middle of a batch goes back to where the batch begins.
      const mayGoBack = logStartOffset === logEndOffset || seen.wasEmpty
      if (logStartOffset > highWatermark)
        fail('R12: log start is committed', where, logStartOffset, highWatermark)
      if (highWatermark < seen.highWatermark && !mayGoBack)
        fail('R7: the high watermark rises', where, highWatermark, seen.highWatermark)
      if (logStartOffset < seen.logStartOffset && !mayGoBack)
        fail('R12: the log start rises', where, logStartOffset, seen.logStartOffset)
      // Who is not in sync may hold others' records below that, which go.
      const mayHoldOthers = !this.#controller.partitions[index]!.isr.includes(id)
      const cutsCommitted = logEndOffset < Math.min(seen.logEndOffset, truth.highWatermark)
      if (cutsCommitted && !mayGoBack && !mayHoldOthers)
        fail('R11: no committed record is cut', where, logEndOffset, truth.highWatermark)
      seen.logEndOffset = logEndOffset
      seen.wasEmpty = logStartOffset === logEndOffset
      if (highWatermark > seen.highWatermark) this.#committed(index, truth, partition, id, seen)
      seen.highWatermark = highWatermark
      seen.wasLeader = partition.isLeader
      seen.logStartOffset = logStartOffset
    }
    if ((truth.ends.get(id) ?? 0) > logEndOffset) this.counts.cutsBelowOwnEnd++
    truth.ends.set(id, logEndOffset)
    truth.durable.set(id, durableEndOffset)
    if (partition.isLeader) this.#observeLeader(index, truth, partition, id)
  }

  #observeLeader(index: number, truth: PartitionTruth, partition: Partition, id: number): void {
    const epoch = partition.leaderEpoch
    const known = truth.leaders.get(epoch)
    if (known === undefined) truth.leaders.set(epoch, id)
    else if (id !== known) fail(`R6: one leader in epoch ${epoch}`, { index, id }, id, known)
    const own = this.#controller.partitions[index]!
    if (epoch !== own.leaderEpoch) return
    const { logEndOffset } = partition.log
    if (logEndOffset < truth.highWatermark)
      fail('R1: the leader has all', { index, id }, logEndOffset, truth.highWatermark)
    const { maximalIsr } = partition.leaderState!
    for (const member of own.isr)
      if (!maximalIsr.includes(member))
        fail('R3: it counts all that are in sync', { index, id }, maximalIsr, member)
  }

  /** The high watermark of a replica has risen: judge the rise, and remember or compare what is below it now. */
  #committed(index: number, truth: PartitionTruth, partition: Partition, id: number, seen: Seen): void {
    const { highWatermark, log } = partition
    if (partition.isLeader && seen.leaderEpoch === partition.leaderEpoch) {
      const own = this.#controller.partitions[index]!
      if (partition.leaderEpoch === own.leaderEpoch) {
        for (const member of partition.leaderState!.maximalIsr) {
          const durable = this.#durableOf(index, truth, member)
          if (durable < highWatermark)
            fail(`R7: ${member} has what is committed`, { index, id }, durable, highWatermark)
        }
      }
    }
    seen.leaderEpoch = partition.leaderEpoch
    // One that lost its leadership in the very turn in which it committed has committed all the same.
    if (partition.isLeader || seen.wasLeader)
      truth.highWatermark = Math.max(truth.highWatermark, highWatermark)
    if (highWatermark > truth.highWatermark)
      fail('R4: it holds no more for committed than was', { index, id }, highWatermark, truth.highWatermark)
    const from = Math.max(seen.highWatermark, log.logStartOffset)
    const slice = from >= highWatermark ? null : log.read(from, highWatermark, Infinity, true)
    if (slice === null) return
    if (slice instanceof Promise) {
      this.counts.unseenCommits++
      slice.catch(() => undefined)
      return
    }
    for (const [base, batch] of batchesOf(Buffer.concat(slice.chunks))) {
      const known = truth.batches.get(base)
      if (known !== undefined) {
        if (batch.crc !== known.crc || batch.epoch !== known.epoch || batch.endOffset !== known.endOffset)
          fail(`R4 R9: batch ${base} is what was committed`, { index, id }, batch, known)
        continue
      }
      truth.batches.set(base, batch)
      this.counts.committedBatches++
    }
  }

  /** R2, R14: whoever could be elected has everything that was committed, on its disk. */
  #checkCandidates(index: number, truth: PartitionTruth): void {
    for (const id of this.#controller.partitions[index]!.isr) {
      const durable = this.#durableOf(index, truth, id)
      if (durable < truth.highWatermark)
        fail('R2 R14: an in-sync replica has all', { index, id }, durable, truth.highWatermark)
    }
  }
}

/** Not `expect`, which takes more time than the events that it would check. */
function fail(claim: string, where: { index: number; id: number }, found: unknown, wanted: unknown): never {
  const place = `partition ${where.index} of node ${where.id}`
  throw new Error(`${claim}, ${place}: found ${JSON.stringify(found)}, wanted ${JSON.stringify(wanted)}`)
}

function* batchesOf(bytes: Uint8Array): IterableIterator<[number, Committed]> {
  for (let at = 0; at < bytes.length; at += batchSizeAt(bytes, at)) {
    const batch = {
      endOffset: lastOffsetAt(bytes, at) + 1,
      crc: crcAt(bytes, at),
      epoch: leaderEpochAt(bytes, at),
    }
    yield [baseOffsetAt(bytes, at), batch]
  }
}

async function readFrom(log: PartitionLog, startOffset: number): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  for (let offset = startOffset; offset < log.logEndOffset;) {
    const slice = await log.read(offset, Infinity, 2 ** 20, true)
    if (slice.bytes === 0) throw new Error(`Read nothing at offset ${offset} of ${log.logEndOffset}`)
    // A batch that begins below is whole in one replica and deleted in part in another.
    chunks.push(...slice.chunks)
    offset = slice.endOffset
  }
  return Buffer.concat(chunks)
}
