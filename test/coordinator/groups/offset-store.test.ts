/** Committed offsets of a shard: what is kept, told, refused, and forgotten (docs/faults.md G4, G7, CG-9). */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ZERO_UUID } from '../../../src/bytes/uuid.ts'
import { OffsetStore } from '../../../src/coordinator/groups/offset-store.ts'
import type { CommitTopic, FetchTopic } from '../../../src/coordinator/groups/offset-store.ts'
import {
  decodeCoordinatorRecord,
  encodeCoordinatorRecord,
} from '../../../src/coordinator/records/coordinator-record.ts'
import type { CoordinatorRecordOf } from '../../../src/coordinator/records/coordinator-record.ts'
import { errorCode } from '../../../src/protocol/errors.ts'
import type { ErrorName } from '../../../src/protocol/errors.ts'
import { seedFromEnv } from '../../support/seed.ts'
import { idOf, imageWith } from '../support/topics-image.ts'

const IMAGE = imageWith({ orders: 3, visits: 1 })
const DAY_MS = 86_400_000
const RETENTION_MS = 7 * DAY_MS

type Partition = CommitTopic['partitions'][number]

const partitionOf = (partitionIndex: number, committedOffset: number, more: Partial<Partition> = {}) => ({
  ...{ partitionIndex, committedOffset, committedLeaderEpoch: -1, committedMetadata: null },
  ...more,
})
const topicOf = (name: string, ...partitions: Partition[]): CommitTopic => ({
  ...{ name, topicId: ZERO_UUID, partitions },
})
const byName = (name: string, ...partitionIndexes: number[]): FetchTopic => ({
  ...{ name, topicId: ZERO_UUID, partitionIndexes },
})

/** Commits as the shard does: what is decided is replayed at once. */
function commit(
  store: OffsetStore,
  groupId: string,
  topics: CommitTopic[],
  { image = IMAGE, byId = false, metadataBytesMax = 4096, nowMs = 1_000 } = {},
): { errors: number[]; recordCount: number } {
  const { records, topics: answers } = store.commit(groupId, topics, {
    ...{ image, byId, metadataBytesMax, nowMs },
  })
  for (const record of records) store.replay(record)
  return {
    errors: answers.flatMap((topic) => topic.partitions.map((partition) => partition.errorCode)),
    recordCount: records.length,
  }
}

function offsets(store: OffsetStore, groupId: string, image = IMAGE): Record<string, number> {
  const all = store.query(groupId, null, image, false)
  return Object.fromEntries(
    all.flatMap(({ name, partitions }) =>
      partitions.map((partition) => [`${name}-${partition.partitionIndex}`, partition.committedOffset]),
    ),
  )
}

const codes = (...names: ErrorName[]): number[] => names.map((name) => errorCode(name))

describe('OffsetStore.commit() and query()', () => {
  test('G4: tell the last offset committed for a partition, also when it is lower than the one before', () => {
    const store = new OffsetStore()
    commit(store, 'g', [topicOf('orders', partitionOf(0, 10), partitionOf(1, 20))])
    commit(store, 'g', [topicOf('orders', partitionOf(0, 7))])
    expect(offsets(store, 'g')).toEqual({ 'orders-0': 7, 'orders-1': 20 })
  })

  test('keep groups apart, whatever bytes their names and those of topics have', () => {
    const store = new OffsetStore()
    for (const group of ['__proto__', 'constructor', 'a', 'a\0b', ' ', 'é\u{1F600}'])
      commit(store, group, [topicOf('orders', partitionOf(0, group.length))])
    expect(offsets(store, '__proto__')).toEqual({ 'orders-0': 9 })
    expect(offsets(store, 'a\0b')).toEqual({ 'orders-0': 3 })
    expect(offsets(store, 'hasOwnProperty')).toEqual({})
    expect(commit(store, 'g', [topicOf('__proto__', partitionOf(0, 1))]).errors).toEqual(
      codes('UNKNOWN_TOPIC_OR_PARTITION'),
    )
  })

  test('tell metadata and leader epoch as they were committed', () => {
    const store = new OffsetStore()
    const committed = partitionOf(2, 5, { committedLeaderEpoch: 3, committedMetadata: 'by worker 1' })
    commit(store, 'g', [topicOf('orders', committed)])
    expect(store.query('g', [byName('orders', 2)], IMAGE, false)[0]!.partitions).toEqual([
      {
        ...{ partitionIndex: 2, committedOffset: 5, committedLeaderEpoch: 3 },
        ...{ metadata: 'by worker 1', errorCode: 0 },
      },
    ])
  })

  test('tell -1 and no error for what was never committed: groups, topics and partitions', () => {
    const store = new OffsetStore()
    commit(store, 'g', [topicOf('orders', partitionOf(0, 10))])
    const none = { committedOffset: -1, committedLeaderEpoch: -1, metadata: '', errorCode: 0 }
    const [orders, missing] = store.query('g', [byName('orders', 1, 99), byName('missing', 0)], IMAGE, false)
    expect(orders!.partitions).toEqual([
      { partitionIndex: 1, ...none },
      { partitionIndex: 99, ...none },
    ])
    expect(missing!.partitions).toEqual([{ partitionIndex: 0, ...none }])
    expect(store.query('nobody', [byName('orders', 0)], IMAGE, false)[0]!.partitions[0]).toEqual({
      ...{ partitionIndex: 0, ...none },
    })
  })

  test('refuse each partition for its own reason, and commit the others', () => {
    const store = new OffsetStore()
    const { errors } = commit(
      store,
      'g',
      [
        topicOf(
          'orders',
          partitionOf(0, 1),
          partitionOf(3, 1),
          partitionOf(-1, 1),
          partitionOf(1, -1),
          partitionOf(2, 1, { committedMetadata: 'é'.repeat(3) }),
        ),
        topicOf('missing', partitionOf(0, 1)),
      ],
      { metadataBytesMax: 5 },
    )
    expect(errors).toEqual(
      codes(
        'NONE',
        'UNKNOWN_TOPIC_OR_PARTITION',
        'UNKNOWN_TOPIC_OR_PARTITION',
        'INVALID_REQUEST',
        'OFFSET_METADATA_TOO_LARGE',
        'UNKNOWN_TOPIC_OR_PARTITION',
      ),
    )
    expect(offsets(store, 'g')).toEqual({ 'orders-0': 1 })
  })

  test('metadata may take as many bytes as allowed', () => {
    const metadata = partitionOf(0, 1, { committedMetadata: 'é'.repeat(2) })
    expect(
      commit(new OffsetStore(), 'g', [topicOf('orders', metadata)], { metadataBytesMax: 4 }).errors,
    ).toEqual(codes('NONE'))
  })

  test('v10: name topics by id, and refuse ids that nobody has', () => {
    const store = new OffsetStore()
    const topic = { name: '', topicId: idOf('orders'), partitions: [partitionOf(0, 4)] }
    const unknown = { name: '', topicId: idOf('missing'), partitions: [partitionOf(0, 4)] }
    expect(commit(store, 'g', [topic, unknown], { byId: true }).errors).toEqual(
      codes('NONE', 'UNKNOWN_TOPIC_ID'),
    )
    expect(offsets(store, 'g')).toEqual({ 'orders-0': 4 })
    const fetched = store.query(
      'g',
      [
        { name: '', topicId: idOf('orders'), partitionIndexes: [0] },
        { name: '', topicId: idOf('missing'), partitionIndexes: [0] },
      ],
      IMAGE,
      true,
    )
    expect(fetched.map(({ topicId }) => topicId)).toEqual([idOf('orders'), idOf('missing')])
    expect(fetched[0]!.partitions[0]).toMatchObject({ committedOffset: 4, errorCode: 0 })
    expect(fetched[1]!.partitions[0]).toMatchObject({
      ...{ committedOffset: -1, errorCode: errorCode('UNKNOWN_TOPIC_ID') },
    })
  })

  test('bound what made-up groups may take, and let those that are here go on', () => {
    const store = new OffsetStore(1_000)
    const refused = codes('INVALID_COMMIT_OFFSET_SIZE')[0]
    const errors = Array.from({ length: 50 }, (_, index) =>
      commit(store, `g${index}`, [topicOf('orders', partitionOf(0, 1))]),
    ).flatMap((answer) => answer.errors)
    expect(errors.indexOf(refused!)).toBeGreaterThan(0)
    expect(errors.lastIndexOf(0)).toBeLessThan(errors.indexOf(refused!))
    expect(store.bytes).toBeLessThan(1_500)
    expect(commit(store, 'g0', [topicOf('orders', partitionOf(0, 2))]).errors).toEqual(codes('NONE'))
  })
})

describe('CG-9: a topic that was deleted and created anew', () => {
  const recreated = imageWith({ orders: { id: idOf('orders-2'), partitionCount: 3 } })

  test('has no offsets of its predecessor, by name, by id, or among all', () => {
    const store = new OffsetStore()
    commit(store, 'g', [topicOf('orders', partitionOf(0, 10), partitionOf(1, 11))])
    expect(offsets(store, 'g', recreated)).toEqual({})
    expect(store.query('g', [byName('orders', 0)], recreated, false)[0]!.partitions[0]!.committedOffset).toBe(
      -1,
    )
    const topicId = idOf('orders-2')
    const fetched = store.query('g', [{ name: '', topicId, partitionIndexes: [0] }], recreated, true)
    expect(fetched[0]!.partitions[0]!.committedOffset).toBe(-1)
  })

  test('has those that were committed for itself, next to others that were not', () => {
    const store = new OffsetStore()
    commit(store, 'g', [topicOf('orders', partitionOf(0, 10), partitionOf(1, 11))])
    commit(store, 'g', [topicOf('orders', partitionOf(1, 2))], { image: recreated })
    expect(offsets(store, 'g', recreated)).toEqual({ 'orders-1': 2 })
  })

  test('is told apart after a fail-over, too: the record says the id', () => {
    const store = new OffsetStore()
    const later = new OffsetStore()
    const { records } = store.commit('g', [topicOf('orders', partitionOf(0, 10))], {
      ...{ image: IMAGE, byId: false, metadataBytesMax: 10, nowMs: 1 },
    })
    for (const record of records) {
      const { key, value } = encodeCoordinatorRecord(record)
      later.replay(decodeCoordinatorRecord(key, value) as CoordinatorRecordOf<'OffsetCommit'>)
    }
    expect(offsets(later, 'g')).toEqual({ 'orders-0': 10 })
    expect(offsets(later, 'g', recreated)).toEqual({})
  })

  test('a deleted topic has no offsets, and expire() removes what is left of both', () => {
    const store = new OffsetStore()
    commit(store, 'g', [topicOf('orders', partitionOf(0, 10)), topicOf('visits', partitionOf(0, 5))])
    expect(offsets(store, 'g', recreated)).toEqual({})
    const subscribed = { isEmpty: false, emptySinceMs: null, isSubscribedTo: () => true }
    for (const record of store.expire('g', subscribed, {
      ...{ image: recreated, nowMs: 0, retentionMs: RETENTION_MS },
    }))
      store.replay(record)
    expect(store.has('g')).toBe(false)
    expect(store.bytes).toBe(0)
  })
})

describe('OffsetStore.expire()', () => {
  const COMMITTED_MS = 100 * DAY_MS

  function expired(
    group: Parameters<OffsetStore['expire']>[1],
    nowMs: number,
    change: (store: OffsetStore) => void = () => undefined,
  ): string[] {
    const store = new OffsetStore()
    const topics = [topicOf('orders', partitionOf(0, 1)), topicOf('visits', partitionOf(0, 1))]
    commit(store, 'g', topics, { nowMs: COMMITTED_MS })
    change(store)
    return store
      .expire('g', group, { image: IMAGE, nowMs, retentionMs: RETENTION_MS })
      .map((record) => record.key.topic)
  }

  test('G7: keeps what a group with members reads, however old', () => {
    const group = { isEmpty: false, emptySinceMs: null, isSubscribedTo: () => true }
    expect(expired(group, COMMITTED_MS + 1_000 * DAY_MS)).toEqual([])
  })

  test('G7: forgets what a group with members does not read any more, after the retention', () => {
    const group = {
      isEmpty: false,
      emptySinceMs: null,
      isSubscribedTo: (topic: string) => topic === 'orders',
    }
    expect(expired(group, COMMITTED_MS + RETENTION_MS - 1)).toEqual([])
    expect(expired(group, COMMITTED_MS + RETENTION_MS)).toEqual(['visits'])
  })

  test('G7: counts from when the last member left, not from the commit', () => {
    const emptySinceMs = COMMITTED_MS + 50 * DAY_MS
    const group = { isEmpty: true, emptySinceMs, isSubscribedTo: () => false }
    expect(expired(group, emptySinceMs + RETENTION_MS - 1)).toEqual([])
    expect(expired(group, emptySinceMs + RETENTION_MS)).toEqual(['orders', 'visits'])
  })

  test('counts from the commit when it came after the last member left, or when there never was one', () => {
    const group = { isEmpty: true, emptySinceMs: 5, isSubscribedTo: () => false }
    for (const either of [group, { ...group, emptySinceMs: null }, null]) {
      expect(expired(either, COMMITTED_MS + RETENTION_MS - 1)).toEqual([])
      expect(expired(either, COMMITTED_MS + RETENTION_MS)).toEqual(['orders', 'visits'])
    }
  })

  test('goes by what the record says, where an old record says it', () => {
    const change = (store: OffsetStore): void => {
      const key = { group: 'g', topic: 'orders', partition: 0 }
      store.replay({
        ...{ kind: 'OffsetCommit', key },
        value: {
          ...{ offset: 1, leaderEpoch: -1, metadata: '', commitTimestamp: COMMITTED_MS },
          ...{ expireTimestamp: COMMITTED_MS + 1, topicId: ZERO_UUID },
        },
      })
    }
    expect(expired(null, COMMITTED_MS, change)).toEqual([])
    expect(expired(null, COMMITTED_MS + 1, change)).toEqual(['orders'])
  })
})

describe('OffsetStore', () => {
  test('removes what it is told to, and nothing that is not there', () => {
    const store = new OffsetStore()
    commit(store, 'g', [
      topicOf('orders', partitionOf(0, 1), partitionOf(1, 1)),
      topicOf('visits', partitionOf(0, 1)),
    ])
    expect(store.remove('g', 'orders', [1, 2]).map((record) => record.key.partition)).toEqual([1])
    expect(store.remove('g', 'missing', [0])).toEqual([])
    expect(store.remove('nobody', 'orders', [0])).toEqual([])
    for (const record of store.removeAll('g')) store.replay(record)
    expect([...store.groupIds()]).toEqual([])
    expect(store.bytes).toBe(0)
  })

  test('is the same after a log with tombstones as after the log compacted: random logs', () => {
    const seed = seedFromEnv('offset-store')
    const step = fc.record({
      ...{ group: fc.constantFrom('a', 'b'), topic: fc.constantFrom('orders', 'visits') },
      ...{ partition: fc.integer({ min: 0, max: 2 }), offset: fc.option(fc.nat(100)) },
    })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const records = steps.map(({ group, topic, partition, offset }) => ({
          ...{ kind: 'OffsetCommit' as const, key: { group, topic, partition } },
          value: offset === null ? null : { ...valueOf(offset), metadata: 'x'.repeat(offset) },
        }))
        const whole = new OffsetStore()
        for (const record of records) whole.replay(record)
        const last = new Map(records.map((record) => [JSON.stringify(record.key), record]))
        const compacted = new OffsetStore()
        for (const record of last.values()) compacted.replay(record)
        for (const group of ['a', 'b']) expect(offsets(compacted, group)).toEqual(offsets(whole, group))
        expect(compacted.bytes).toBe(whole.bytes)
        expect([...compacted.groupIds()].sort()).toEqual([...whole.groupIds()].sort())
      }),
      { seed, numRuns: 200 },
    )
  })
})

const valueOf = (offset: number) => ({
  ...{ offset, leaderEpoch: -1, metadata: '', commitTimestamp: 0, expireTimestamp: -1, topicId: ZERO_UUID },
})
