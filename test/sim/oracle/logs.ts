/**
 * What must hold of the bytes of a log, on each replica's disk and between replicas (docs/faults.md section 3). Heavy: at
 * checkpoints and at the end. Each batch is judged once, when it is first seen, and again after a cut.
 *
 *   R4    below its high watermark a replica holds what was committed there, batch for batch
 *   R5    leader epochs never fall along a log
 *   R6    one batch at an offset and leader epoch, whoever holds it
 *   R10   offsets follow one another without a gap, and a batch has as many records as offsets
 *   P1    sequences of a producer follow one another, each once
 *   P2    what a replica remembers of its producers is what the batches of its log say
 *   R16   at rest replicas hold the same bytes; compacted ones the same newest record of each key
 */
import { CodecSet } from '../../../src/records/compression/codec-set.ts'
import { splitBatches } from '../../../src/records/fetched-batches.ts'
import { attributesAt, isControl } from '../../../src/records/batch-header.ts'
import { decodeRecords } from '../../../src/records/record-reader.ts'
import type { DiskBatch, DiskLog } from './disk-log.ts'
import type { PartitionTruth } from './truth.ts'
import { fail } from './violation.ts'

const SEQUENCE_MAX = 2 ** 31 - 1
/** What `src/log/producer-state.ts` keeps of each producer. */
const BATCHES_KEPT = 5

/** A replica's log, as the rules see it. */
export interface LogUnderTest {
  readonly truth: PartitionTruth
  /** Name of the machine. */
  readonly host: string
  readonly disk: DiskLog
  /** As its broker knows it; null while there is none. */
  readonly highWatermark: number | null
  readonly isCompacted: boolean
}

/** A producer's entry, as the broker remembers it. */
export interface Remembered {
  readonly producerId: number
  readonly epoch: number
  readonly count: number
  batchAt(index: number): { readonly lastSequence: number; readonly lastOffset: number }
}

interface Producer {
  epoch: number
  /** The last few, oldest first. */
  batches: { lastSequence: number; lastOffset: number }[]
}

interface Progress {
  version: number
  /** Batches judged. */
  count: number
  end: number | null
  epoch: number
  producers: Map<number, Producer>
  /** Batches compared with what is committed. */
  committedCount: number
}

export class LogRules {
  /** Checksum of the batch at an offset, by leader epoch, of any replica. */
  readonly #written = new WeakMap<PartitionTruth, Map<number, Map<number, number>>>()
  readonly #progress = new WeakMap<DiskLog, Progress>()

  /** Looks at what is new on a replica's disk. @throws Violation */
  check(log: LogUnderTest): void {
    const progress = this.#progressOf(log.disk.look())
    for (const batch of log.disk.batches(progress.count)) {
      this.#checkOrder(log, progress, batch)
      this.#checkWriter(log, batch)
      if (!log.isCompacted) fold(log, progress.producers, batch)
      progress.count++
    }
    if (!log.isCompacted && !log.truth.isUnclean) this.#checkCommitted(log, progress)
  }

  /** P2. The broker's log must end where the one on its disk does, or there is nothing to compare. @throws Violation */
  checkProducers(log: LogUnderTest, remembered: readonly Remembered[]): void {
    const { producers } = this.#progressOf(log.disk)
    for (const entry of remembered) {
      const folded = producers.get(entry.producerId)
      const told = Array.from({ length: entry.count }, (_, index) => entry.batchAt(index))
      const batches = folded?.batches ?? []
      const isSame =
        folded?.epoch === entry.epoch &&
        batches.length === told.length &&
        batches.every(
          ({ lastSequence, lastOffset }, index) =>
            told[index]!.lastSequence === lastSequence && told[index]!.lastOffset === lastOffset,
        )
      if (!isSame)
        fail(
          'P2',
          `${whereOf(log)} remembers of producer ${entry.producerId}: ${textOf(entry.epoch, told)}; its log says ${textOf(folded?.epoch, batches)}`,
        )
    }
    const known = new Set(remembered.map(({ producerId }) => producerId))
    for (const [id, { epoch, batches }] of producers)
      if (!known.has(id))
        fail(
          'P2',
          `${whereOf(log)} remembers nothing of producer ${id}; its log says ${textOf(epoch, batches)}`,
        )
  }

  #progressOf(disk: DiskLog): Progress {
    let progress = this.#progress.get(disk)
    if (progress?.version !== disk.version) {
      progress = {
        version: disk.version,
        count: 0,
        end: null,
        epoch: 0,
        producers: new Map(),
        committedCount: 0,
      }
      this.#progress.set(disk, progress)
    }
    return progress
  }

  /** R5, R10. */
  #checkOrder(log: LogUnderTest, progress: Progress, batch: DiskBatch): void {
    const { base, last, epoch, header } = batch
    const { end } = progress
    if (end !== null && (log.isCompacted ? base < end : base !== end))
      fail('R10', `${whereOf(log)} goes on at ${base}, where ${end} comes next`)
    if (!log.isCompacted && header.recordCount !== header.lastOffsetDelta + 1)
      fail('R10', `${whereOf(log)} has ${header.recordCount} records in the batch from ${base} to ${last}`)
    if (epoch < progress.epoch)
      fail('R5', `${whereOf(log)} has leader epoch ${epoch} after ${progress.epoch} at ${base}`)
    progress.end = last + 1
    progress.epoch = epoch
  }

  /** R6. Compaction writes batches anew. */
  #checkWriter(log: LogUnderTest, { base, epoch, crc }: DiskBatch): void {
    if (log.isCompacted) return
    let epochs = this.#written.get(log.truth)
    if (epochs === undefined) this.#written.set(log.truth, (epochs = new Map<number, Map<number, number>>()))
    let written = epochs.get(epoch)
    if (written === undefined) epochs.set(epoch, (written = new Map<number, number>()))
    const known = written.get(base)
    if (known === undefined) written.set(base, crc)
    else if (known !== crc)
      fail('R6', `${whereOf(log)} has another batch at ${base} in leader epoch ${epoch} than was there`)
  }

  /** R4. */
  #checkCommitted(log: LogUnderTest, progress: Progress): void {
    const { truth, highWatermark, disk } = log
    const end = Math.min(highWatermark ?? 0, truth.trueHighWatermark)
    for (const { base, last, epoch, crc } of disk.batches(progress.committedCount)) {
      if (last >= end) return
      progress.committedCount++
      const known = truth.committed.get(base)
      if (known === undefined) truth.committed.set(base, { last, epoch, crc })
      else if (known.crc !== crc || known.epoch !== epoch || known.last !== last)
        fail(
          'R4',
          `${whereOf(log)} has a batch of epoch ${epoch} at ${base}, where one of epoch ${known.epoch} was committed`,
        )
    }
  }
}

/** R16: all replicas of a partition at rest. @throws Violation */
export function checkEqual(logs: readonly LogUnderTest[]): void {
  const [first, ...others] = logs
  if (first === undefined) return
  const startOffset = Math.max(...logs.map(({ disk }) => disk.look().startOffset))
  const contentOf = ({ disk }: LogUnderTest): string | Buffer =>
    first.isCompacted ? newestOf(disk) : disk.bytes(startOffset)
  const wanted = contentOf(first)
  for (const other of others) {
    const found = contentOf(other)
    const isSame = typeof wanted === 'string' ? wanted === found : wanted.equals(found as Buffer)
    if (!isSame)
      fail(
        'R16',
        `${first.truth.name} of ${other.host} holds ${found.length} bytes to ${other.disk.endOffset} that are not the ${wanted.length} to ${first.disk.endOffset} of ${first.host}`,
      )
  }
}

/** P1. */
function fold(log: LogUnderTest, producers: Map<number, Producer>, { base, last, header }: DiskBatch): void {
  const { producerId, producerEpoch, baseSequence } = header
  if (producerId < 0) return
  let producer = producers.get(producerId)
  const where = `${whereOf(log)} at ${base}: producer ${producerId}`
  if (producer !== undefined && producerEpoch < producer.epoch)
    fail('P1', `${where} in epoch ${producerEpoch} after ${producer.epoch}`)
  if (producer === undefined || producerEpoch > producer.epoch) {
    // What came before may have been deleted; a new epoch begins with its first sequence.
    if (producer !== undefined && baseSequence !== 0)
      fail('P1', `${where} begins epoch ${producerEpoch} at ${baseSequence}`)
    producers.set(producerId, (producer = { epoch: producerEpoch, batches: [] }))
  }
  const before = producer.batches.at(-1)
  const wanted =
    before === undefined ? baseSequence : before.lastSequence === SEQUENCE_MAX ? 0 : before.lastSequence + 1
  if (baseSequence !== wanted) fail('P1', `${where} has sequence ${baseSequence}, where ${wanted} comes next`)
  const lastSequence = (baseSequence + header.lastOffsetDelta) % (SEQUENCE_MAX + 1)
  producer.batches.push({ lastSequence, lastOffset: last })
  if (producer.batches.length > BATCHES_KEPT) producer.batches.shift()
}

/** The newest record of each key, of a compacted log: what compaction must keep. One without value says that there is none. */
function newestOf(disk: DiskLog): string {
  const newest = new Map<string, string>()
  const codecs = new CodecSet()
  for (const batch of splitBatches(disk.bytes(0))) {
    if (isControl(attributesAt(batch, 0))) continue
    for (const { key, value, offset } of decodeRecords(batch, codecs)) {
      const name = textOfBytes(key ?? new Uint8Array())
      if (value === null) newest.delete(name)
      else newest.set(name, `${offset} ${textOfBytes(value)}`)
    }
  }
  return [...newest]
    .map(([key, content]) => `${key} ${content}`)
    .sort()
    .join('\n')
}

function textOfBytes(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('latin1')
}

function whereOf({ truth, host }: LogUnderTest): string {
  return `${truth.name} of ${host}`
}

function textOf(
  epoch: number | undefined,
  batches: readonly { readonly lastSequence: number; readonly lastOffset: number }[],
): string {
  if (epoch === undefined) return 'nothing'
  return `epoch ${epoch}, sequences ${batches.map(({ lastSequence, lastOffset }) => `${lastSequence} at ${lastOffset}`).join(', ')}`
}
