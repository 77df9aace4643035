/** The fold of metadata records: what it refuses, that it shares, and that snapshots are equal to replay (M6). */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { EMPTY_IMAGE } from '../../src/metadata/cluster-image.ts'
import type { ClusterImage } from '../../src/metadata/cluster-image.ts'
import { ImageBuilder } from '../../src/metadata/image-builder.ts'
import { compareImages } from '../../src/metadata/image-delta.ts'
import { MetadataError } from '../../src/metadata/metadata-error.ts'
import { decodeMetadataRecord, encodeMetadataRecord } from '../../src/metadata/records.ts'
import type { MetadataRecordInput } from '../../src/metadata/records.ts'
import { decodeSnapshot, encodeSnapshot, imageHash } from '../../src/metadata/snapshot.ts'

const seed = Number(process.env['SEED'] ?? 1)

const id = (text: string) => text.padEnd(22, 'A')

function fold(image: ClusterImage, records: readonly MetadataRecordInput[]) {
  const builder = new ImageBuilder(image)
  for (const record of records) builder.replay(decodeMetadataRecord(encodeMetadataRecord(record)))
  return builder.finish(image.endOffset + records.length, 1)
}

const topic = (name: string, topicId = id(name)): MetadataRecordInput => ({ kind: 'topic', name, topicId })
const partition = (
  topicId: string,
  partitionId: number,
  change: Partial<Extract<MetadataRecordInput, { kind: 'partition' }>> = {},
): MetadataRecordInput => ({
  kind: 'partition',
  partitionId,
  topicId,
  replicas: [1, 2],
  isr: [1, 2],
  removingReplicas: [],
  addingReplicas: [],
  leader: 1,
  leaderEpoch: 0,
  partitionEpoch: 0,
  directories: [],
  ...change,
})
const broker = (brokerId: number, brokerEpoch: number): MetadataRecordInput => ({
  kind: 'registerBroker',
  brokerId,
  incarnationId: id(`I${brokerEpoch}x`),
  brokerEpoch,
  endPoints: [{ name: 'A', host: 'h', port: 1, securityProtocol: 0 }],
  features: [],
  rack: null,
})

const base = fold(EMPTY_IMAGE, [
  broker(1, 0),
  topic('t'),
  partition(id('t'), 0),
  partition(id('t'), 1),
  { kind: 'producerIds', brokerId: 1, nextProducerId: 1000 },
]).image

describe('replay', () => {
  it.each<[string, MetadataRecordInput[]]>([
    ['X21: a topic named ..', [topic('..', id('x'))]],
    ['X21: a topic named with a slash', [topic('a/b', id('x'))]],
    ['X21: a topic named as the metadata log', [topic('__cluster_metadata', id('x'))]],
    ['X21: a topic name of 250 characters', [topic('x'.repeat(250), id('x'))]],
    ['a topic that is there', [topic('t', id('x'))]],
    ['M9: a topic id that is taken', [topic('u', id('t'))]],
    ['a topic without id', [topic('u', id(''))]],
    ['a topic without partitions', [topic('u')]],
    ['partitions of no topic', [partition(id('u'), 0)]],
    ['partitions with a gap', [partition(id('t'), 3)]],
    ['X28: partition 2^31 - 1', [partition(id('t'), 2 ** 31 - 1)]],
    ['a partition without replicas', [partition(id('t'), 2, { replicas: [], isr: [] })]],
    ['a replica named twice', [partition(id('t'), 2, { replicas: [1, 1] })]],
    ['an in-sync replica that is none', [partition(id('t'), 2, { isr: [3] })]],
    ['a leader and nobody in sync', [partition(id('t'), 2, { isr: [], leader: 1 })]],
    ['an eligible leader that is in sync', [partition(id('t'), 2, { eligibleLeaderReplicas: [1] })]],
    ['an eligible leader that is no replica', [partition(id('t'), 2, { eligibleLeaderReplicas: [3] })]],
    ['a leader that is not in sync', [partition(id('t'), 2, { isr: [2] })]],
    ['negative epochs', [partition(id('t'), 2, { leaderEpoch: -1 })]],
    ['a change of no partition', [{ kind: 'partitionChange', topicId: id('t'), partitionId: 2, leader: 2 }]],
    ['a change to a stranger', [{ kind: 'partitionChange', topicId: id('t'), partitionId: 0, leader: 3 }]],
    ['the removal of no topic', [{ kind: 'removeTopic', topicId: id('x') }]],
    [
      'settings of no topic',
      [{ kind: 'config', resourceType: 2, resourceName: 'u', name: 'retention.ms', value: '1' }],
    ],
    [
      'settings of an unknown kind',
      [{ kind: 'config', resourceType: 7, resourceName: 't', name: 'a', value: '1' }],
    ],
    [
      'settings of a broker that is no number',
      [{ kind: 'config', resourceType: 4, resourceName: '../1', name: 'a', value: '1' }],
    ],
    ['M9: a broker epoch that does not rise', [broker(1, 0)]],
    [
      'a change of an old broker epoch',
      [{ kind: 'brokerRegistrationChange', brokerId: 1, brokerEpoch: 7, fenced: -1 }],
    ],
    ['P4: producer ids that go back', [{ kind: 'producerIds', brokerId: 1, nextProducerId: 999 }]],
    [
      'a feature level of a newer version',
      [{ kind: 'featureLevel', name: 'millrace.version', featureLevel: 99 }],
    ],
    ['an unknown feature', [{ kind: 'featureLevel', name: 'no.such', featureLevel: 1 }]],
  ])('refuses %s', (_what, records) => {
    expect(() => fold(base, records)).toThrow(MetadataError)
  })

  it('R15: a change that names a leader raises the leader epoch, any change the partition epoch', () => {
    const isr = fold(base, [{ kind: 'partitionChange', topicId: id('t'), partitionId: 0, isr: [1] }]).image
    const same = fold(isr, [{ kind: 'partitionChange', topicId: id('t'), partitionId: 0, leader: 1 }]).image
    const epochs = [base, isr, same].map((image) => {
      const { leaderEpoch, partitionEpoch } = image.topicsByName.get('t')!.partitions[0]!
      return [leaderEpoch, partitionEpoch]
    })
    expect(epochs).toEqual([
      [0, 0],
      [0, 1],
      [1, 2],
    ])
  })

  it('shares everything it does not change, and leaves the image before as it was', () => {
    const before = imageHash(base)
    const { image, delta } = fold(base, [
      topic('u'),
      partition(id('u'), 0),
      { kind: 'partitionChange', topicId: id('t'), partitionId: 1, leader: 2 },
    ])
    expect(imageHash(base)).toBe(before)
    expect(image.topicsByName.get('t')!.partitions[0]).toBe(base.topicsByName.get('t')!.partitions[0])
    expect(delta.createdTopics.map(({ name }) => name)).toEqual(['u'])
    expect(delta.changedTopics.map(({ partitions }) => partitions)).toEqual([[1]])
  })

  it('tells a topic that was made anew under its name from the old one', () => {
    const { delta } = fold(base, [
      { kind: 'removeTopic', topicId: id('t') },
      topic('t', id('new')),
      partition(id('new'), 0),
    ])
    expect(delta.deletedTopics.map((each) => each.id)).toEqual([id('t')])
    expect(delta.createdTopics.map((each) => each.id)).toEqual([id('new')])
  })

  it('one change among 10,000 topics costs far less than copying them', () => {
    const all = Array.from({ length: 10_000 }, (_, index) => [
      topic(`t${index}`),
      partition(id(`t${index}`), 0),
    ]).flat()
    const { image } = fold(EMPTY_IMAGE, all)
    let next = image
    for (let index = 0; index < 10_000; index++)
      next = fold(next, [topic(`u${index}`), partition(id(`u${index}`), 0)]).image
    expect(next.topicsByName.size).toBe(20_000)
    expect(next.partitionCount).toBe(20_000)
    expect(image.topicsByName.size).toBe(10_000)
  })
})

describe('decodeMetadataRecord()', () => {
  it('fuzz: throws its own error or gives a record, for any bytes', () => {
    const good = encodeMetadataRecord(partition(id('t'), 0))
    const mutated = fc.tuple(fc.nat(good.length - 1), fc.nat(255)).map(([position, value]) => {
      const bytes = good.slice()
      bytes[position] = value
      return bytes
    })
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 80 }), mutated), (bytes) => {
        try {
          decodeMetadataRecord(bytes)
        } catch (error) {
          expect(error).toBeInstanceOf(MetadataError)
        }
      }),
      { seed, numRuns: 2000 },
    )
  })

  it('refuses types, versions and frames it does not know, and bytes after the record', () => {
    expect(() => decodeMetadataRecord(new Uint8Array([0, 20, 0, 0]))).toThrow(/frame version is 0/)
    expect(() => decodeMetadataRecord(new Uint8Array([1, 99, 0, 0]))).toThrow(/no record type 99/)
    expect(() => decodeMetadataRecord(new Uint8Array([1, 20, 1, 0]))).toThrow(
      /NoOpRecord has version 1, known up to 0/,
    )
    expect(() => decodeMetadataRecord(new Uint8Array([1, 20, 0, 0, 7]))).toThrow(/1 bytes follow NoOpRecord/)
  })
})

describe('M6', () => {
  const names = ['a', 'b.c', '__proto__', 'constructor']
  const step = fc.record({
    kind: fc.nat(7),
    name: fc.constantFrom(...names),
    n: fc.nat(3),
    draw: fc.nat(1_000_000),
  })

  /** A record that fits `image`, or none. */
  function recordFor(
    image: ClusterImage,
    { kind, name, n, draw }: { kind: number; name: string; n: number; draw: number },
  ): MetadataRecordInput[] {
    const existing = image.topicsByName.get(name)
    if (kind === 0 && !existing)
      return [topic(name, id(`T${draw}x`)), partition(id(`T${draw}x`), 0)].slice(
        0,
        image.topicsById.has(id(`T${draw}x`)) ? 0 : 2,
      )
    if (kind === 1 && existing) return [{ kind: 'removeTopic', topicId: existing.id }]
    if (kind === 2 && existing) return [partition(existing.id, existing.partitions.length)]
    if (kind === 3 && existing)
      return [
        {
          kind: 'partitionChange',
          topicId: existing.id,
          partitionId: 0,
          ...(draw % 2 === 0
            ? { leader: n === 0 ? -1 : 1 + (n % 2), isr: [1, 2], eligibleLeaderReplicas: [] }
            : { leader: 1, isr: [1], eligibleLeaderReplicas: [2], lastKnownElr: [2] }),
        },
      ]
    if (kind === 4 && existing)
      return [
        {
          kind: 'config',
          resourceType: 2,
          resourceName: name,
          name: `k${n}`,
          value: draw % 3 === 0 ? null : String(draw),
        },
      ]
    if (kind === 5) return [broker(n, (image.brokers.get(n)?.epoch ?? -1) + 1 + (draw % 5))]
    if (kind === 6) return [{ kind: 'producerIds', brokerId: 0, nextProducerId: image.nextProducerId + n }]
    const known = image.brokers.get(n)
    return known
      ? [
          {
            kind: 'brokerRegistrationChange',
            brokerId: n,
            brokerEpoch: known.epoch,
            fenced: draw % 2 ? 1 : -1,
          },
        ]
      : []
  }

  it(`an image from a snapshot and the rest equals the one from replay, at any offset (seed ${seed})`, () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), fc.nat(100), (steps, cut) => {
        let replayed: ClusterImage = EMPTY_IMAGE
        let restored: ClusterImage | null = null
        for (const [index, each] of steps.entries()) {
          const records = recordFor(replayed, each)
          if (records.length === 0) continue
          replayed = fold(replayed, records).image
          if (restored !== null) restored = fold(restored, records).image
          if (index === cut % steps.length)
            restored = decodeSnapshot(encodeSnapshot(replayed), replayed.endOffset, replayed.epoch)
        }
        const whole = decodeSnapshot(encodeSnapshot(replayed), replayed.endOffset, replayed.epoch)
        // The hash is made of the very records that a snapshot is: what they leave out it does not see.
        expect(contentOf(whole)).toEqual(contentOf(replayed))
        if (restored !== null) expect(contentOf(restored)).toEqual(contentOf(replayed))
        expect(imageHash(whole)).toBe(imageHash(replayed))
        if (restored !== null) expect(imageHash(restored)).toBe(imageHash(replayed))
        expect(whole.partitionCount).toBe(replayed.partitionCount)
        expect(compareImages(whole, replayed).changedBrokers).toEqual([...replayed.brokers.keys()].sort())
      }),
      { seed, numRuns: 200 },
    )
  })
})

/** All that an image says, in an order of its own. */
function contentOf({ topicsByName, brokers, configs, features, nextProducerId }: ClusterImage): unknown {
  const sorted = (map: ReadonlyMap<unknown, unknown> | Iterable<readonly [unknown, unknown]>): unknown[] =>
    [...map].map(([key, value]) => [String(key), value]).sort(([a], [b]) => (String(a) < String(b) ? -1 : 1))
  return {
    topics: sorted(topicsByName),
    brokers: sorted(brokers),
    configs: [...configs]
      .map(([key, entries]) => [key, sorted(entries)])
      .sort(([a], [b]) => (String(a) < String(b) ? -1 : 1)),
    features: sorted(features),
    nextProducerId,
  }
}
