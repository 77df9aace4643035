/**
 * What compaction must keep: a log of keyed records beside a list of everything that was appended, and the comparison of
 * the two (docs/faults.md ST-17, R9, T6, P2, R5, R10).
 */
import { expect } from 'vitest'
import type { Prng } from '../../src/env/sim/prng.ts'
import type { LogManager } from '../../src/log/log-manager.ts'
import type { PartitionLog } from '../../src/log/partition-log.ts'
import { ProducerState } from '../../src/log/producer-state.ts'
import { BatchBuilder } from '../../src/records/batch-builder.ts'
import {
  baseOffsetAt,
  batchSizeAt,
  isControl,
  lastOffsetAt,
  leaderEpochAt,
  readBatchHeader,
} from '../../src/records/batch-header.ts'
import type { Codec } from '../../src/records/compression/codec.ts'
import { CodecSet } from '../../src/records/compression/codec-set.ts'
import { buildEndTransactionMarker } from '../../src/records/control-batch.ts'
import { decodeRecords } from '../../src/records/record-reader.ts'
import { readAll } from './support.ts'

export interface Keyed {
  readonly key: string | null
  /** Null: the key is deleted. */
  readonly value: string | null
  readonly timestamp?: number
}

export interface KeyedBatchOptions {
  readonly codec?: Codec | null
  readonly producerId?: number
  readonly baseSequence?: number
  readonly isTransactional?: boolean
}

/** A batch as a producer sends it. */
export function keyedBatch(records: readonly Keyed[], options: KeyedBatchOptions = {}): Uint8Array {
  const builder = new BatchBuilder(256)
  for (const { key, value, timestamp } of records) {
    builder.append({
      key: key === null ? null : Buffer.from(key),
      value: value === null ? null : Buffer.from(value),
      timestamp: timestamp ?? 1_000,
      headers: [{ key: 'h', value: Buffer.from(String(key)) }],
    })
  }
  const { producerId, baseSequence, isTransactional, codec } = options
  const producer =
    producerId === undefined ? {} : { producerId, producerEpoch: 0, baseSequence: baseSequence ?? 0 }
  return builder
    .seal({ ...producer, codec: codec ?? null, isTransactional: isTransactional ?? false })
    .slice()
}

export async function loadCodecs(): Promise<{ set: CodecSet; all: (Codec | null)[] }> {
  const set = new CodecSet()
  const all: (Codec | null)[] = [null]
  for (const name of ['gzip', 'snappy', 'lz4', 'zstd'] as const) all.push(await set.load(name))
  return { set, all }
}

export interface ReadRecord {
  readonly offset: number
  readonly key: string | null
  readonly value: string | null
  readonly timestamp: number
}

/** Every record of a log, and that its batches join up (R10) and its epochs rise (R5). */
export async function readRecords(log: PartitionLog, codecs: CodecSet): Promise<ReadRecord[]> {
  const bytes = await readAll(log)
  const records: ReadRecord[] = []
  let end: number | null = null
  let epoch = -1
  for (let at = 0; at < bytes.length; at += batchSizeAt(bytes, at)) {
    if (end !== null) expect(baseOffsetAt(bytes, at), 'R10: offsets join up').toBe(end)
    end = lastOffsetAt(bytes, at) + 1
    expect(leaderEpochAt(bytes, at)).toBeGreaterThanOrEqual(epoch)
    epoch = leaderEpochAt(bytes, at)
    const header = readBatchHeader(bytes, at)
    if (isControl(header.attributes)) continue
    for (const { offset, key, value, timestamp, headers } of decodeRecords(bytes.subarray(at), codecs)) {
      const text = key === null ? null : Buffer.from(key).toString()
      if (headers.length !== 1 || headers[0]!.key !== 'h') expect.fail(`The headers of ${offset} are gone`)
      records.push({ offset, key: text, value: value && Buffer.from(value).toString(), timestamp })
    }
  }
  return records
}

/** What a consumer holds that has read all of `records`. */
export function tableOf(records: Iterable<Keyed>): Map<string, string> {
  const table = new Map<string, string>()
  for (const { key, value } of records) {
    if (key === null) continue
    if (value === null) table.delete(key)
    else table.set(key, value)
  }
  return table
}

interface ModelBatch {
  readonly baseOffset: number
  readonly endOffset: number
  readonly epoch: number
  readonly bytes: Uint8Array
  /** None for a marker. */
  readonly records: readonly Keyed[]
}

export class CompactionModel {
  batches: ModelBatch[] = []
  durableEndOffset = 0
  /** No pass has looked at anything at or above it, also of those that came to no end. Default: where the last one ended. */
  judgedEndOffset = 0
  readonly #sequences = new Map<number, number>()

  get endOffset(): number {
    return this.batches.at(-1)?.endOffset ?? 0
  }

  watch(log: PartitionLog): void {
    this.durableEndOffset = log.durableEndOffset
    log.onDurable = (endOffset) => (this.durableEndOffset = endOffset)
  }

  append(
    log: PartitionLog,
    records: readonly Keyed[],
    options: { readonly codec?: Codec | null; readonly producerId?: number; readonly epoch?: number } = {},
  ): number {
    const { producerId, codec, epoch = Math.max(0, log.latestEpoch) } = options
    const baseSequence = producerId === undefined ? 0 : (this.#sequences.get(producerId) ?? 0)
    const bytes = keyedBatch(records, {
      codec: codec ?? null,
      ...(producerId === undefined ? {} : { producerId, baseSequence }),
    })
    if (producerId !== undefined) this.#sequences.set(producerId, baseSequence + records.length)
    return this.appendBatch(log, bytes, records, epoch)
  }

  appendMarker(log: PartitionLog, producerId: number): number {
    const marker = {
      verdict: 'abort',
      producerId,
      producerEpoch: 0,
      coordinatorEpoch: 0,
      timestampMs: 1,
    } as const
    return this.appendBatch(log, buildEndTransactionMarker(marker), [], Math.max(0, log.latestEpoch))
  }

  appendBatch(log: PartitionLog, bytes: Uint8Array, records: readonly Keyed[], epoch: number): number {
    const copy = bytes.slice()
    const result = log.appendAsLeader(bytes, readBatchHeader(bytes), epoch)
    if (result.kind !== 'appended') throw new Error(`Append was ${JSON.stringify(result)}`)
    const { baseOffset, lastOffset } = result
    this.batches.push({ baseOffset, endOffset: lastOffset + 1, epoch, bytes: copy, records })
    return baseOffset
  }

  /** The log was cut, or lost its unsynced end. */
  cutTo(endOffset: number): void {
    this.batches = this.batches.filter((batch) => batch.endOffset <= endOffset)
    this.durableEndOffset = Math.min(this.durableEndOffset, this.endOffset)
    this.#sequences.clear()
    for (const { producerId, lastSequence } of this.producers().entries())
      this.#sequences.set(producerId, lastSequence + 1)
  }

  producers(): ProducerState {
    const state = new ProducerState(1_000)
    for (const { bytes, baseOffset } of this.batches) state.update(readBatchHeader(bytes), baseOffset, 0)
    return state
  }

  /** Compares all that a reader can see with all that was appended. */
  async check(log: PartitionLog, codecs: CodecSet): Promise<void> {
    expect(log.logEndOffset).toBe(this.endOffset)
    const appended = new Map<number, Keyed>()
    for (const { baseOffset, records } of this.batches)
      for (const [index, record] of records.entries()) appended.set(baseOffset + index, record)
    const found = await readRecords(log, codecs)
    for (const { offset, key, value, timestamp } of found) {
      const truth = appended.get(offset)
      if (truth?.key !== key || truth.value !== value || (truth.timestamp ?? 1_000) !== timestamp)
        expect({ key, value, timestamp }, `R9: the record at ${offset}`).toEqual(truth)
    }
    // A reader at or past the cleaned end holds what one holds that has read every record there ever was (ST-17).
    const cleanedEnd = Math.max(this.judgedEndOffset, log.compaction.cleanedEndOffset)
    const seen = new Map<string, string>()
    const wanted = new Map<string, string>()
    let index = 0
    for (let offset = 0; offset < this.endOffset; offset++) {
      const truth = appended.get(offset)
      if (truth !== undefined) apply(wanted, truth)
      while (index < found.length && found[index]!.offset <= offset) apply(seen, found[index++]!)
      if (offset >= cleanedEnd - 1 && !areEqual(seen, wanted))
        expect([...seen].sort(), `ST-17: after offset ${offset}`).toEqual([...wanted].sort())
      if (truth !== undefined && offset >= cleanedEnd && found[index - 1]?.offset !== offset)
        expect.fail(`R9: the record at ${offset} is gone, and nothing from ${cleanedEnd} on was judged`)
    }
    expect(describeProducers(log.producers())).toEqual(describeProducers(this.producers()))
    for (const { baseOffset, epoch } of this.batches) {
      const { startOffset } = log.epochEntries().findLast((entry) => entry.startOffset <= baseOffset)!
      expect(this.batches.find((batch) => batch.epoch === epoch)!.baseOffset).toBeGreaterThanOrEqual(
        startOffset,
      )
    }
  }
}

function apply(table: Map<string, string>, { key, value }: Keyed): void {
  if (key === null) return
  if (value === null) table.delete(key)
  else table.set(key, value)
}

function areEqual(a: ReadonlyMap<string, string>, b: ReadonlyMap<string, string>): boolean {
  if (a.size !== b.size) return false
  for (const [key, value] of a) if (b.get(key) !== value) return false
  return true
}

function describeProducers(state: ProducerState): unknown {
  return [...state.entries()]
    .sort((a, b) => a.producerId - b.producerId)
    .map((entry) => ({
      producerId: entry.producerId,
      epoch: entry.epoch,
      lastOffset: entry.lastOffset,
      // A batch that lost its records has lost its timestamp too; nothing is judged by that.
      batches: Array.from({ length: entry.count }, (_, index) => ({
        ...entry.batchAt(index),
        timestampMs: 0,
      })),
    }))
}

/** Up to four records over a few keys; one in four deletes, one in twenty has no key. */
export function drawRecords(random: Prng, keyCount: number): Keyed[] {
  return Array.from({ length: 1 + random.below(4) }, () => ({
    key: random.below(20) === 0 ? null : `key-${random.below(keyCount)}${'.'.repeat(random.below(2) * 20)}`,
    value: random.below(4) === 0 ? null : `value ${random.below(1_000_000)}`,
  }))
}

/** The names of the files of a log's directory that no log at rest has. */
export async function strayNames(
  manager: LogManager,
  list: (path: string) => Promise<readonly string[]>,
): Promise<string[]> {
  const names = await list(`${manager.directory}/orders-0`)
  const isOurs = /^(\d{20}\.(log|index|timeindex|snapshot)|leader-epoch-checkpoint|partition\.metadata)$/
  return names.filter((name) => !isOurs.test(name))
}
