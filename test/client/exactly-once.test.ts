/** Random faults against a model of a partition: what an idempotent producer promises, whatever goes wrong (TX-1, P1). */
import { describe, expect, it } from 'vitest'
import type { Delivery } from '../../src/client/producer-options.ts'
import { decodeUtf8 } from '../../src/bytes/utf8.ts'
import { Prng } from '../../src/env/sim/prng.ts'
import type { ErrorName } from '../../src/protocol/errors.ts'
import type { RequestOf, ResponseInputOf } from '../../src/protocol/apis.ts'
import { readBatchHeader } from '../../src/records/batch-header.ts'
import { CodecSet } from '../../src/records/compression/codec-set.ts'
import { decodeRecords } from '../../src/records/record-reader.ts'
import { seedFromEnv } from '../support/seed.ts'
import { ScriptedBroker } from './scripted-broker.ts'

const RUNS = 60
const RECORDS = 120
const PARTITIONS = 3
const BATCHES_REMEMBERED = 5
const codecs = new CodecSet()

interface KnownBatch {
  readonly epoch: number
  readonly first: number
  readonly last: number
  readonly baseOffset: number
}

/** One partition as a broker keeps it: its records, and the last batches of the one producer. */
class ModelPartition {
  readonly values: string[] = []
  batches: KnownBatch[] = []

  append(bytes: Uint8Array): { error: ErrorName; baseOffset: number } {
    const { producerEpoch: epoch, baseSequence: first, recordCount } = readBatchHeader(bytes)
    const last = first + recordCount - 1
    const known = this.batches.find(
      (batch) => batch.epoch === epoch && batch.first === first && batch.last === last,
    )
    if (known !== undefined) return { error: 'NONE', baseOffset: known.baseOffset }
    const newest = this.batches.at(-1)
    if (newest !== undefined) {
      if (epoch < newest.epoch) return { error: 'INVALID_PRODUCER_EPOCH', baseOffset: -1 }
      const wanted = epoch > newest.epoch ? 0 : newest.last + 1
      if (first !== wanted) return { error: 'OUT_OF_ORDER_SEQUENCE_NUMBER', baseOffset: -1 }
    }
    const baseOffset = this.values.length
    for (const { value } of decodeRecords(bytes, codecs))
      this.values.push(decodeUtf8(value!, 0, value!.length))
    this.batches = [...this.batches, { epoch, first, last, baseOffset }].slice(-BATCHES_REMEMBERED)
    return { error: 'NONE', baseOffset }
  }
}

interface Chaos {
  /** Share of requests, and of batches in them, that something happens to. */
  readonly faultShare: number
  /** The broker loses what it knows of the producer now and then. */
  readonly forgets?: boolean
  /** Answers are lost for longer than a delivery may take, while requests still arrive. */
  readonly hasOutages?: boolean
}

async function run(seed: string, { faultShare, forgets = false, hasOutages = false }: Chaos) {
  const prng = new Prng(seed, 'faults')
  const partitions = Array.from({ length: PARTITIONS }, () => new ModelPartition())
  let isChaos = true
  const fault = (): boolean => isChaos && prng.below(1000) < faultShare * 1000
  const one = ({ index, records }: { index: number; records: Uint8Array | null }) => {
    if (fault()) {
      const before = (
        ['NOT_ENOUGH_REPLICAS', 'INVALID_RECORD', 'LEADER_NOT_AVAILABLE', 'CORRUPT_MESSAGE'] as const
      )[prng.below(4)]!
      return { index, errorCode: codeOf(before), baseOffset: -1 }
    }
    if (forgets && fault()) partitions[index]!.batches = []
    const { error, baseOffset } = partitions[index]!.append(records!.slice())
    const isLate = error === 'NONE' && fault()
    const after = (
      ['NOT_ENOUGH_REPLICAS_AFTER_APPEND', 'REQUEST_TIMED_OUT', 'NOT_LEADER_OR_FOLLOWER'] as const
    )[prng.below(3)]!
    return { index, errorCode: codeOf(isLate ? after : error), baseOffset: isLate ? -1 : baseOffset }
  }
  const handle = (request: RequestOf<'Produce'>): ResponseInputOf<'Produce'> => ({
    responses: request.topicData.map(({ name, topicId, partitionData }) => ({
      name,
      topicId,
      partitionResponses: partitionData.map(one),
    })),
  })
  let outageEndsMs = 0
  const isOutage = (): boolean => {
    const { nowMs } = broker.simulation
    if (hasOutages && isChaos && nowMs > outageEndsMs + 300 && prng.below(10) === 0)
      outageEndsMs = nowMs + 400
    return nowMs < outageEndsMs
  }
  const broker = new ScriptedBroker(
    {
      Produce: (request) => {
        if (isOutage()) {
          if (prng.below(3) > 0) handle(request)
          return 'close'
        }
        if (fault()) return 'close'
        const answer = handle(request)
        return fault() ? (prng.below(2) === 0 ? 'close' : 'silence') : answer
      },
    },
    PARTITIONS,
  )
  await broker.listen()
  const client = broker.client({ requestTimeoutMs: 300, retryBackoffMs: 5, retryBackoffMaxMs: 50 })
  const producer = client.producer({ batchBytesMax: 200, deliveryTimeoutMs: hasOutages ? 250 : 2_000 })
  const outcomes = new Map<string, Delivery | Error>()
  const sends: Promise<void>[] = []
  for (let index = 0; index < RECORDS; index++) {
    const partition = prng.below(PARTITIONS)
    const value = `${partition}:${index}:${'x'.repeat(prng.below(60))}`
    sends.push(
      producer.send({ topic: 't', partition, value }).then(
        (delivery) => void outcomes.set(value, delivery),
        (error: unknown) => void outcomes.set(value, error as Error),
      ),
    )
    if (prng.below(4) === 0) await broker.pass(prng.below(40))
  }
  await broker.pass(500)
  isChaos = false
  await broker.settled(Promise.all(sends))
  return { partitions, outcomes }
}

function codeOf(name: ErrorName): number {
  return CODES[name as keyof typeof CODES]
}

const CODES = {
  NONE: 0,
  CORRUPT_MESSAGE: 2,
  LEADER_NOT_AVAILABLE: 5,
  NOT_LEADER_OR_FOLLOWER: 6,
  REQUEST_TIMED_OUT: 7,
  NOT_ENOUGH_REPLICAS: 19,
  NOT_ENOUGH_REPLICAS_AFTER_APPEND: 20,
  OUT_OF_ORDER_SEQUENCE_NUMBER: 45,
  INVALID_PRODUCER_EPOCH: 47,
  INVALID_RECORD: 87,
} as const

describe('an idempotent producer', () => {
  const seed = seedFromEnv('exactly-once')

  it('writes each record at most once, the acknowledged ones where it says, in the order sent (TX-1)', async () => {
    let acknowledgedCount = 0
    let failedCount = 0
    for (let index = 0; index < RUNS; index++) {
      const { partitions, outcomes } = await run(`${seed}-${index}`, {
        faultShare: [0, 0.02, 0.1, 0.25][index % 4]!,
        hasOutages: index % 2 === 0,
      })
      for (const [partition, { values }] of partitions.entries()) {
        const where = `run ${index}, partition ${partition}`
        expect(new Set(values).size, where).toBe(values.length)
        const order = values.map((value) => Number(value.split(':')[1]))
        expect(order, where).toEqual([...order].sort((a, b) => a - b))
      }
      for (const [value, outcome] of outcomes) {
        if (outcome instanceof Error) {
          failedCount++
          continue
        }
        acknowledgedCount++
        const { values } = partitions[outcome.partition]!
        expect(values[outcome.offset], `run ${index}`).toBe(value)
      }
      expect(outcomes.size).toBe(RECORDS)
    }
    expect(acknowledgedCount).toBeGreaterThan(RUNS * RECORDS * 0.5)
    expect(failedCount).toBeGreaterThan(0) // INVALID_RECORD is final: the faults were there
  })

  it('keeps order and offsets when the broker forgets its producers, where it accepts any sequence again', async () => {
    for (let index = 0; index < RUNS / 3; index++) {
      const { partitions, outcomes } = await run(`${seed}-forgets-${index}`, {
        faultShare: 0.05,
        forgets: true,
      })
      for (const [value, outcome] of outcomes) {
        if (!(outcome instanceof Error))
          expect(partitions[outcome.partition]!.values[outcome.offset]).toBe(value)
      }
    }
  })
})
