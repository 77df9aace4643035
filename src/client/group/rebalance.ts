/**
 * Brings what a member owns to what it shall own, one step after the other, and tells the application.
 *
 *   give back: no more records ─► what is in hand is finished ─► commit ─► onRevoked ─► the coordinator is told
 *   take:      committed offsets ─► assigned, but paused ─► onAssigned ─► records ─► the coordinator is told
 *   lost:      no more records, at once ─► onLost
 *
 * Invariants:
 * - The coordinator is told of a partition given back only when nothing of it is in hand (G1).
 * - The coordinator is never told less than what is owned: what a member does not name counts as given back.
 * - Nothing is taken while a heartbeat has gone unanswered since: what it told may have given it to others (`isCertain`).
 * - Listeners are called one at a time. What was lost meanwhile is not told of as given back.
 * - Each step looks, after every wait, whether the member is still the one it was (`Membership.life`).
 */
import { backoffMs } from '../../base/backoff.ts'
import { pause } from '../backoff.ts'
import { ClientError } from '../client-error.ts'
import type { Cluster } from '../cluster.ts'
import type { Assignment, StartPosition, TopicPartition } from '../consumer-options.ts'
import type { GroupConfig } from './group-options.ts'
import type { Membership, TopicIdPartitions } from './membership.ts'
import type { GroupOffsets, OwnedPartition } from './offsets.ts'
import type { Owned, Progress } from './progress.ts'
import { TopicNames } from './topic-names.ts'

/** The part of a consumer that reads what it is told to. */
export interface AssignmentEngine {
  assignMore(assignments: readonly Assignment[]): void
  unassign(partitions: readonly TopicPartition[]): void
  pause(partitions: readonly TopicPartition[]): void
  resume(partitions: readonly TopicPartition[]): void
  /** Where it began to read the partition, or was sent to; null while that is not known. */
  startOf(partition: TopicPartition): number | null
}

export interface RebalancePorts {
  readonly cluster: Cluster
  readonly config: GroupConfig
  readonly from: StartPosition
  readonly engine: AssignmentEngine
  readonly membership: Membership
  readonly offsets: GroupOffsets
  readonly progress: Progress
  /** Commits what the application is done with of these partitions, unless it sees to that itself, after all that was to be
   * committed before. Never rejects. */
  readonly commitDone: (partitions: readonly Owned[]) => Promise<void>
  /** What it owns is what it shall own. */
  readonly onSettled: () => void
  readonly onFailed: (error: unknown) => void
  readonly signal: AbortSignal
}

export class Rebalance {
  readonly #ports: RebalancePorts
  readonly #names: TopicNames
  #target: readonly TopicIdPartitions[] | null = null
  /** Lost, and the application has not been told yet. */
  #lost: TopicPartition[] = []
  /** Partitions that topics had when this member first got one of them: later ones were added. */
  readonly #firstCounts = new Map<string, number>()
  #running: Promise<void> | null = null
  /** Something came that the step under way has not looked at. */
  #hasNews = false

  constructor(ports: RebalancePorts) {
    this.#ports = ports
    this.#names = new TopicNames(ports.cluster)
  }

  /** What the member shall own. */
  aim(target: readonly TopicIdPartitions[]): void {
    this.#target = target
    this.#start()
  }

  /** Takes everything away at once: others may have it already. */
  lose(): void {
    const { progress, engine } = this.#ports
    this.#target = null
    const lost = progress.all()
    this.#lost.push(...lost.map(({ topic, partition }) => ({ topic, partition })))
    engine.unassign(lost)
    progress.remove(lost)
    this.#start()
  }

  /** Resolves when nothing is under way. */
  async idle(): Promise<void> {
    while (this.#running !== null) await this.#running
  }

  /** Gives everything back: the end. */
  async giveAllBack(): Promise<void> {
    await this.idle()
    const { progress } = this.#ports
    const all = progress.all()
    if (all.length > 0) await this.#giveBack(all)
  }

  #start(): void {
    this.#hasNews = true
    this.#running ??= this.#run().finally(() => {
      this.#running = null
      if (this.#hasNews && !this.#ports.signal.aborted) this.#start()
    })
  }

  async #run(): Promise<void> {
    try {
      while (!this.#ports.signal.aborted && (await this.#step()));
    } catch (error) {
      if (!this.#ports.signal.aborted) this.#ports.onFailed(error)
    }
  }

  /** False when there is nothing left to do. */
  async #step(): Promise<boolean> {
    const { config, membership, progress, onSettled } = this.#ports
    this.#hasNews = false
    if (this.#lost.length > 0) {
      // Taken out by itself: arguments of a listener that is not there are not evaluated.
      const lost = this.#lost.splice(0)
      await config.listener.onLost?.(lost)
      return true
    }
    const target = this.#target
    if (target === null) return false
    const { life } = membership
    await this.#learnNames(target)
    if (this.#isOver(life)) return true
    const wanted = this.#named(target)
    const isWanted = (owned: Owned): boolean => wanted.some((one) => isSame(one, owned))
    const leaving = progress.all().filter((owned) => !isWanted(owned))
    const coming = wanted.filter((one) => !isSame(one, progress.get(one)))
    if (leaving.length > 0) await this.#giveBack(leaving)
    else if (coming.length > 0) await this.#take(coming)
    else if (target !== this.#target) return true
    else {
      onSettled()
      return false
    }
    return true
  }

  async #giveBack(leaving: readonly Owned[]): Promise<void> {
    const { engine, progress, config, membership, commitDone } = this.#ports
    const { life } = membership
    for (const owned of leaving) {
      // Where the group began is committed as well: its next member must not begin at another end of the log.
      owned.done ??= engine.startOf(owned)
      owned.isLeaving = true
    }
    engine.unassign(leaving)
    await progress.whenFree(leaving)
    if (life !== membership.life) return
    await commitDone(leaving)
    if (life !== membership.life) return
    await config.listener.onRevoked?.(leaving.map(({ topic, partition }) => ({ topic, partition })))
    progress.remove(leaving)
    if (life === membership.life) membership.own(byTopicId(progress.all()))
  }

  async #take(coming: readonly OwnedPartition[]): Promise<void> {
    const { engine, progress, config, membership, offsets, signal } = this.#ports
    const { life } = membership
    const committed = await offsets.committed(coming, { signal }).catch(async (error: unknown) => {
      // It is no member any more, or nobody answers: heartbeats will tell. What is wrong for good ends it.
      const isPassing =
        error instanceof ClientError && (error.retriable || error.code === 'CLIENT_NOT_A_MEMBER')
      if (!isPassing) throw error
      await membership.heardAgain()
      return null
    })
    if (committed === null || this.#isOver(life)) return
    if (!membership.isCertain) {
      await membership.heardAgain()
      return
    }
    const assignments = coming.map((one): Assignment => {
      const { topic, partition } = one
      const offset =
        committed.find((each) => each.topic === topic && each.partition === partition)?.offset ?? null
      progress.add(one, offset)
      return { topic, partition, from: offset ?? this.#startOf(one) }
    })
    engine.assignMore(assignments)
    // At once, not when the listener is done: a heartbeat may be due, and one that does not name them would give them back.
    membership.own(byTopicId(progress.all()))
    const { onAssigned } = config.listener
    if (onAssigned === undefined) return
    engine.pause(assignments)
    const taken = assignments.flatMap((one) => progress.get(one) ?? [])
    for (const owned of taken) owned.isHeld = true
    await onAssigned(coming.map(({ topic, partition }) => ({ topic, partition })))
    for (const owned of taken) owned.isHeld = false
    if (this.#isOver(life)) return
    engine.resume(taken.filter(({ isPaused, isGone }) => !isPaused && !isGone))
  }

  #isOver(life: number): boolean {
    const { membership, signal } = this.#ports
    return life !== membership.life || signal.aborted
  }

  /** Partitions that were added to a topic while this member was there are read from their beginning: nothing is missed. */
  #startOf({ topic, topicId, partition }: OwnedPartition): StartPosition {
    const { cluster, from } = this.#ports
    const count = cluster.findTopic(topic)?.partitions.length ?? 0
    if (!this.#firstCounts.has(topicId)) this.#firstCounts.set(topicId, count)
    const firstCount = this.#firstCounts.get(topicId)!
    return firstCount > 0 && partition >= firstCount ? 'beginning' : from
  }

  /** The coordinator may know of a topic before the brokers that are asked do: those are asked again. */
  async #learnNames(target: readonly TopicIdPartitions[]): Promise<void> {
    const { cluster, signal, membership } = this.#ports
    const { life } = membership
    const ids = target.map(({ topicId }) => topicId)
    for (let attempt = 1; ; attempt++) {
      try {
        await this.#names.learn(ids, signal)
        for (const topic of new Set(this.#named(target).map((one) => one.topic))) {
          const deadlineMs = cluster.ports.clock.monotonicMs() + cluster.config.requestTimeoutMs
          await cluster.topic(topic, { mayCreate: false, deadlineMs, signal })
        }
        if (ids.every((id) => this.#names.get(id) !== undefined)) return
      } catch (error) {
        // A topic that was deleted meanwhile is in no later target.
        const isGone = error instanceof ClientError && error.code === 'UNKNOWN_TOPIC_OR_PARTITION'
        if (!isGone && !(error instanceof ClientError && error.retriable)) throw error
      }
      if (life !== membership.life || target !== this.#target) return
      const { clock, random } = cluster.ports
      await pause(
        clock,
        backoffMs(cluster.config.backoff, attempt, random),
        'Cannot find topics of a group',
        signal,
      )
    }
  }

  #named(target: readonly TopicIdPartitions[]): OwnedPartition[] {
    return target.flatMap(({ topicId, partitions }) => {
      const topic = this.#names.get(topicId)
      return topic === undefined ? [] : partitions.map((partition) => ({ topic, topicId, partition }))
    })
  }
}

function isSame(wanted: OwnedPartition, owned: Owned | null): boolean {
  return (
    owned !== null &&
    wanted.topicId === owned.topicId &&
    wanted.topic === owned.topic &&
    wanted.partition === owned.partition
  )
}

function byTopicId(partitions: readonly OwnedPartition[]): TopicIdPartitions[] {
  const topics = new Map<string, number[]>()
  for (const { topicId, partition } of partitions)
    topics.set(topicId, [...(topics.get(topicId) ?? []), partition])
  return Array.from(topics, ([topicId, numbers]) => ({ topicId, partitions: numbers }))
}
