/**
 * What must hold of the committed metadata whenever any broker has more of it (docs/faults.md section 3):
 *
 *   M6    equal images at equal offsets, on whichever node, by replay or by snapshot
 *   M9    broker, leader and partition epochs rise, a broker's image never goes back, topic ids are never used again
 *   R14   who joins an in-sync set is neither fenced nor about to stop, by the very state that it joins in
 *   R15   one leader a leader epoch; who is elected comes from ISR or ELR, or is flagged unclean, and then led last
 *
 * And counts the rare paths that are seen in metadata (life/marks.ts).
 */
import { configsOf, TOPIC_RESOURCE } from '../../../src/metadata/cluster-image.ts'
import type {
  BrokerImage,
  ClusterImage,
  PartitionImage,
  TopicImage,
} from '../../../src/metadata/cluster-image.ts'
import type { PartitionTruth, Truths } from './truth.ts'
import { fail } from './violation.ts'

export interface MetadataEvents {
  /** A broker has an epoch that it did not have before. */
  registered(id: number): void
  /**
   * A partition has a newer state.
   *
   * @param joined - Who is in sync now and was not.
   * @param leaderEpoch - In which it had the state before: that of whoever asked for them to join. The change that completes a
   *   move lets the last new replica join and begins a new epoch at once.
   */
  changed(truth: PartitionTruth, joined: readonly number[], leaderEpoch: number): void
}

export class MetadataRules {
  /** How often each rare path was seen. */
  readonly marks = new Map<string, number>()
  readonly #truths: Truths
  readonly #events: MetadataEvents
  /** The image that was last looked at, by life of a broker. */
  readonly #images = new Map<string, ClusterImage>()
  /** By end offset. */
  readonly #digests = new Map<number, string>()
  readonly #parts = new WeakMap<object, string>()
  /** Who leads, by leader epoch. */
  readonly #leaders = new WeakMap<PartitionTruth, Map<number, number | null>>()
  readonly #goneIds = new Set<string>()
  #newest: ClusterImage | null = null

  constructor(truths: Truths, events: MetadataEvents) {
    this.#truths = truths
    this.#events = events
  }

  /** The newest committed image that any broker has seen. */
  get newest(): ClusterImage | null {
    return this.#newest
  }

  /** Looks at a broker's newest committed image. @throws Violation */
  look(life: string, image: ClusterImage): void {
    const last = this.#images.get(life)
    if (image === last) return
    if (last !== undefined && image.endOffset < last.endOffset)
      fail('M9', `the image of ${life} goes from ${last.endOffset} back to ${image.endOffset}`)
    this.#images.set(life, image)
    const digest = this.#digestOf(image)
    const known = this.#digests.get(image.endOffset)
    if (known === undefined) this.#digests.set(image.endOffset, digest)
    else if (known !== digest)
      fail('M6', `two images at offset ${image.endOffset}: ${difference(digest, known)} of ${life}`)
    if (image.endOffset > (this.#newest?.endOffset ?? -1)) this.#follow(image)
  }

  #follow(image: ClusterImage): void {
    const before = this.#newest
    this.#newest = image
    for (const [id, broker] of image.brokers) {
      const old = before?.brokers.get(id)
      if (old !== undefined) this.#compareBroker(old, broker)
      if (old?.epoch !== broker.epoch) this.#events.registered(id)
    }
    if (before !== null)
      for (const topic of before.topicsByName.values())
        if (image.topicsById.get(topic.id) === undefined) this.#gone(topic)
    for (const topic of image.topicsByName.values()) this.#followTopic(before, image, topic)
  }

  #compareBroker(old: BrokerImage, broker: BrokerImage): void {
    if (broker.epoch < old.epoch) fail('M9', `the broker epoch of ${old.id} goes back to ${broker.epoch}`)
    if (broker.epoch === old.epoch && broker.incarnationId !== old.incarnationId)
      fail('M9', `two incarnations of broker ${old.id} have the epoch ${old.epoch}`)
    if (broker.epoch > old.epoch) this.#mark('registered again')
    if (broker.isFenced && !old.isFenced) this.#mark('fenced')
  }

  #gone({ id }: TopicImage): void {
    this.#goneIds.add(id)
    for (const truth of this.#truths.ofTopic(id)) truth.follow(null)
  }

  #followTopic(before: ClusterImage | null, image: ClusterImage, topic: TopicImage): void {
    if (this.#goneIds.has(topic.id)) fail('M9', `the topic id ${topic.id} of ${topic.name} was used before`)
    const old = before?.topicsById.get(topic.id)
    if (old === topic) return
    for (const [index, after] of topic.partitions.entries()) {
      const truth = this.#truths.of(topic.name, topic.id, index)
      const earlier = old?.partitions[index]
      if (earlier === after) continue
      this.#checkOneLeader(truth, after)
      if (earlier !== undefined) {
        if (earlier.partitionEpoch === after.partitionEpoch && earlier.leaderEpoch === after.leaderEpoch)
          continue
        this.#compare(truth, image, earlier, after)
      }
      truth.follow(after)
      const joined = earlier === undefined ? [] : after.isr.filter((id) => !earlier.isr.includes(id))
      this.#checkJoined(truth, image, joined)
      this.#events.changed(truth, joined, earlier?.leaderEpoch ?? after.leaderEpoch)
    }
  }

  #checkOneLeader(truth: PartitionTruth, { leader, leaderEpoch }: PartitionImage): void {
    let leaders = this.#leaders.get(truth)
    if (leaders === undefined) this.#leaders.set(truth, (leaders = new Map<number, number | null>()))
    const known = leaders.get(leaderEpoch)
    if (known !== undefined && known !== leader)
      fail('R15', `${truth.name} in leader epoch ${leaderEpoch} is led by ${known} and by ${leader}`)
    leaders.set(leaderEpoch, leader)
  }

  #compare(truth: PartitionTruth, image: ClusterImage, old: PartitionImage, after: PartitionImage): void {
    const { name } = truth
    if (after.leaderEpoch < old.leaderEpoch || after.partitionEpoch < old.partitionEpoch)
      fail(
        'M9',
        `epochs of ${name} go back: ${old.leaderEpoch}/${old.partitionEpoch} to ${after.leaderEpoch}/${after.partitionEpoch}`,
      )
    // While no broker served, changes may have passed unseen.
    const isNext = after.partitionEpoch === old.partitionEpoch + 1
    const { leader } = after
    if (isNext && leader !== null && leader !== old.leader) this.#checkElected(truth, image, old, after)
    if (!isNext && after.leaderEpoch > old.leaderEpoch && allowsUnclean(image, truth.topic)) truth.forget()
    if (after.isRecovering && !old.isRecovering) this.#mark('led by the last leader again')
    if (leader === null && old.leader !== null) this.#mark('without a leader')
    if (leader !== null && leader !== old.leader) this.#mark('leader changed')
    if (leader !== null && old.leader === null && old.eligibleLeaderReplicas.includes(leader))
      this.#mark('led by an eligible replica')
    if (after.isr.length < old.isr.length) this.#mark('in-sync set shrank')
    if (after.isr.length > old.isr.length) this.#mark('in-sync set grew')
  }

  /** R15: who led last has all that was ever acknowledged, on its disk, so nobody else may be taken from outside both sets. */
  #checkElected(
    truth: PartitionTruth,
    image: ClusterImage,
    old: PartitionImage,
    after: PartitionImage,
  ): void {
    const { name, topic } = truth
    const { leader, isRecovering } = after
    if (leader === null || old.isr.includes(leader) || old.eligibleLeaderReplicas.includes(leader)) return
    // The change that lets the last replicas of a move join completes it, and with it the old leader may go.
    if (old.leader !== null && old.addingReplicas.includes(leader)) return
    if (
      old.leader !== null &&
      old.removingReplicas.includes(old.leader) &&
      !after.replicas.includes(old.leader)
    )
      return
    // A leader that is about to stop takes others in to get rid of its leadership: the change that it asks for elects one.
    const asker = old.leader === null ? undefined : image.brokers.get(old.leader)
    if (asker?.isInControlledShutdown === true && after.isr.includes(asker.id) && after.isr.includes(leader))
      return
    if (!isRecovering)
      fail(
        'R15',
        `${leader} is elected in ${name} as if it were clean: neither in ${old.isr.join()} nor in ${old.eligibleLeaderReplicas.join() || 'none'}`,
      )
    const known = old.leader === null ? old.lastKnownEligibleLeaders : [old.leader]
    if (known.includes(leader)) return
    if (allowsUnclean(image, topic)) truth.forget()
    else fail('R15', `unclean election of ${leader} in ${name}, where ${known.join() || 'nobody'} led last`)
  }

  /** R14, as far as metadata show it. */
  #checkJoined({ name }: PartitionTruth, image: ClusterImage, joined: readonly number[]): void {
    for (const id of joined) {
      const broker = image.brokers.get(id)
      if (broker === undefined)
        fail('R14', `${id} joins the in-sync replicas of ${name} and is not registered`)
      if (broker.isFenced) fail('R14', `${id} joins the in-sync replicas of ${name} and is fenced`)
      if (broker.isInControlledShutdown)
        fail('R14', `${id} joins the in-sync replicas of ${name} and is about to stop`)
    }
  }

  #digestOf({ topicsByName, brokers, configs, features, nextProducerId }: ClusterImage): string {
    const lines = [`producer id ${nextProducerId}`, JSON.stringify([...features].sort())]
    for (const topic of topicsByName.values()) lines.push(this.#partOf(topic))
    for (const broker of brokers.values()) lines.push(this.#partOf(broker))
    const settings = Array.from(
      configs,
      ([key, entries]) => `${key} ${this.#partOf(entries, () => [...entries].sort())}`,
    )
    // A snapshot gives the same in another order than the history that it stands for.
    return [...lines, ...settings].sort().join('\n')
  }

  /** Most of an image is what it was in the one before. */
  #partOf(part: object, toJson: () => unknown = () => part): string {
    let text = this.#parts.get(part)
    if (text === undefined) this.#parts.set(part, (text = JSON.stringify(toJson())))
    return text
  }

  #mark(name: string): void {
    this.marks.set(name, (this.marks.get(name) ?? 0) + 1)
  }
}

/** The first lines in which two digests differ. */
function difference(digest: string, other: string): string {
  const others = other.split('\n')
  const index = digest.split('\n').findIndex((line, at) => line !== others[at])
  return `${digest.split('\n')[index]} and ${others[index]}`
}

function allowsUnclean(image: ClusterImage, topic: string): boolean {
  const settings = configsOf(image, { type: TOPIC_RESOURCE, name: topic })
  return settings.get('unclean.leader.election.enable') === 'true'
}
