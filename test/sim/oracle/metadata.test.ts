import { describe, expect, it } from 'vitest'
import { EMPTY_IMAGE } from '../../../src/metadata/cluster-image.ts'
import type {
  BrokerImage,
  ClusterImage,
  PartitionImage,
  TopicImage,
} from '../../../src/metadata/cluster-image.ts'
import { ShardedMap } from '../../../src/metadata/sharded-map.ts'
import { MetadataRules } from './metadata.ts'
import { Truths } from './truth.ts'

const PARTITION: PartitionImage = {
  ...{ leader: 1, leaderEpoch: 3, partitionEpoch: 7, replicas: [1, 2, 3], isr: [1, 2] },
  ...{ removingReplicas: [], addingReplicas: [], isRecovering: false, directories: [] },
  ...{ eligibleLeaderReplicas: [3], lastKnownEligibleLeaders: [] },
}
const BROKER: BrokerImage = {
  ...{ id: 3, incarnationId: 'one', epoch: 5, listeners: [], features: [], rack: null },
  ...{ isFenced: false, isInControlledShutdown: false, logDirs: [] },
}

interface Doctored {
  readonly partition?: Partial<PartitionImage>
  readonly broker?: Partial<BrokerImage>
  readonly topicId?: string | null
  readonly producerId?: number
}

function imageAt(
  endOffset: number,
  { partition, broker, topicId = 'id', producerId = 0 }: Doctored = {},
): ClusterImage {
  const topic: TopicImage = { name: 't', id: topicId ?? '', partitions: [{ ...PARTITION, ...partition }] }
  const named = <V>(key: string, value: V): ShardedMap<V> => {
    const draft = ShardedMap.empty<V>().edit()
    if (topicId !== null) draft.set(key, value)
    return draft.freeze()
  }
  return {
    ...EMPTY_IMAGE,
    ...{ endOffset, nextProducerId: producerId, brokers: new Map([[3, { ...BROKER, ...broker }]]) },
    topicsById: named(topic.id, topic),
    topicsByName: named('t', topic),
  }
}

const NO_EVENTS = { registered: () => undefined, changed: () => undefined }

/** Whether a life that saw one image may see another. */
function seeing(first: ClusterImage, ...others: readonly ClusterImage[]): () => void {
  const rules = new MetadataRules(new Truths(), NO_EVENTS)
  rules.look('b1#1', first)
  return () => {
    for (const image of others) rules.look('b1#1', image)
  }
}

describe('MetadataRules', () => {
  it('finds nothing in a clean election and in who joins', () => {
    const elected = { leader: 3, leaderEpoch: 4, partitionEpoch: 8, isr: [3] }
    const joined = { ...elected, partitionEpoch: 9, isr: [3, 1] }
    const images = [elected, joined].map((partition, index) => {
      const image = imageAt(11 + index, { partition })
      return { ...image, brokers: new Map([...image.brokers, [1, { ...BROKER, id: 1 }]]) }
    })
    expect(seeing(imageAt(10), ...images)).not.toThrow()
  })

  it('finds nothing in a leader that is about to stop and takes in who leads then', () => {
    const before = { leader: 3, leaderEpoch: 4, partitionEpoch: 8, isr: [3], eligibleLeaderReplicas: [] }
    const after = { ...before, leader: 1, leaderEpoch: 5, partitionEpoch: 9, isr: [3, 1] }
    const withBroker1 = (image: ClusterImage): ClusterImage => ({
      ...image,
      brokers: new Map([...image.brokers, [1, { ...BROKER, id: 1 }]]),
    })
    const broker = { isInControlledShutdown: true }
    const [first, second, usual] = [
      imageAt(10, { partition: before, broker }),
      imageAt(11, { partition: after, broker }),
      imageAt(11, { partition: after }),
    ].map(withBroker1) as [ClusterImage, ClusterImage, ClusterImage]
    expect(seeing(first, second)).not.toThrow()
    expect(seeing(withBroker1(imageAt(10, { partition: before })), usual)).toThrow(/^R15: /)
  })

  it('M6: two images at one offset', () => {
    const rules = new MetadataRules(new Truths(), NO_EVENTS)
    rules.look('b1#1', imageAt(10))
    expect(() => rules.look('b2#1', imageAt(10))).not.toThrow()
    expect(() => rules.look('b3#1', imageAt(10, { producerId: 1000 }))).toThrow(/^M6: /)
  })

  it('M9: an image, an epoch or a topic id that comes back', () => {
    expect(seeing(imageAt(10), imageAt(9))).toThrow(/^M9: /)
    expect(seeing(imageAt(10), imageAt(11, { partition: { partitionEpoch: 6 } }))).toThrow(/^M9: /)
    expect(seeing(imageAt(10), imageAt(11, { partition: { leaderEpoch: 2 } }))).toThrow(/^M9: /)
    expect(seeing(imageAt(10), imageAt(11, { broker: { epoch: 4 } }))).toThrow(/^M9: /)
    expect(seeing(imageAt(10), imageAt(11, { broker: { incarnationId: 'two' } }))).toThrow(/^M9: /)
    expect(seeing(imageAt(10), imageAt(11, { topicId: null }), imageAt(12))).toThrow(/^M9: /)
  })

  it('R14: who joins while it is fenced, stops, or is not registered', () => {
    const partition = { partitionEpoch: 8, isr: [1, 2, 3], eligibleLeaderReplicas: [] }
    expect(seeing(imageAt(10), imageAt(11, { partition }))).not.toThrow()
    expect(seeing(imageAt(10), imageAt(11, { partition, broker: { isFenced: true } }))).toThrow(/^R14: /)
    const stopping = { isInControlledShutdown: true }
    expect(seeing(imageAt(10), imageAt(11, { partition, broker: stopping }))).toThrow(/^R14: /)
    const stranger = { ...partition, isr: [1, 2, 4] }
    expect(seeing(imageAt(10), imageAt(11, { partition: stranger }))).toThrow(/^R14: /)
  })

  it('R15: two leaders of one epoch, and a leader from outside ISR and ELR that is not flagged', () => {
    const second = { leader: 2, partitionEpoch: 8 }
    expect(seeing(imageAt(10), imageAt(11, { partition: second }))).toThrow(/^R15: /)
    const stranger = { leader: 3, leaderEpoch: 4, partitionEpoch: 8, isr: [3] }
    const before = imageAt(10, { partition: { eligibleLeaderReplicas: [] } })
    expect(seeing(before, imageAt(11, { partition: stranger }))).toThrow(/^R15: /)
    const unclean = { ...stranger, isRecovering: true }
    expect(seeing(before, imageAt(11, { partition: unclean }))).toThrow(/^R15: unclean/)
  })
})
