/**
 * Committed offsets of a group, as a member asks for them and writes them.
 *
 * Invariants:
 * - One commit at a time, in the order in which they were asked for, each repeated until its outcome is known: an older one never
 *   comes after a newer one (docs/faults.md CG-8).
 * - Every commit carries the member's epoch: one that the group has given up cannot commit (G3), and what it read before it was
 *   given up is not committed in a later life either.
 * - A partition that was given back meanwhile is left out: its next owner may have committed more (CG-8).
 * - Topics go by the ids that they were assigned with: an offset of a topic that was deleted since is not one of its successor (CG-9).
 */
import { SerialQueue } from '../../base/serial-queue.ts'
import { errorByCode, errorCode as codeOf } from '../../protocol/errors.ts'
import { brokerError, ClientError } from '../client-error.ts'
import type { TopicPartition } from '../consumer-options.ts'
import type { GroupCoordinator } from './group-coordinator.ts'
import { isRetriable } from './group-coordinator.ts'
import type { Membership } from './membership.ts'
import type { Owned } from './progress.ts'

/** A partition of the topic that had this id when it was assigned. */
export interface OwnedPartition extends TopicPartition {
  readonly topicId: string
}

/** An offset to be committed: of the next record to be read. */
export interface OffsetToCommit extends TopicPartition {
  readonly offset: number
  /** Words of the application, at most 4,096 bytes by default. Default none. */
  readonly metadata?: string
}

/** One of a partition as the member has it: of no other time that it had it, or will have it. */
export interface OwnedOffset extends OffsetToCommit {
  readonly owned: Owned
}

/** Where a group is in a partition; null: it has committed nothing there. */
export interface CommittedOffset extends TopicPartition {
  readonly offset: number | null
  readonly metadata: string | null
}

export interface OffsetOptions {
  readonly signal?: AbortSignal | undefined
  /** Default: the client's `requestTimeoutMs`. */
  readonly timeoutMs?: number
}

const NO_OFFSET = -1
const UNKNOWN_TOPIC_ID = codeOf('UNKNOWN_TOPIC_ID')
const NOT_A_MEMBER: ReadonlySet<string> = new Set([
  'UNKNOWN_MEMBER_ID',
  'FENCED_INSTANCE_ID',
  'ILLEGAL_GENERATION',
  'GROUP_ID_NOT_FOUND',
])
/** Commits that may wait for others. */
const COMMITS_WAITING_MAX = 1000

export class GroupOffsets {
  readonly #coordinator: GroupCoordinator
  readonly #membership: Membership
  readonly #instanceId: string | null
  readonly #commits = new SerialQueue(COMMITS_WAITING_MAX)

  constructor(coordinator: GroupCoordinator, membership: Membership, instanceId: string | null) {
    this.#coordinator = coordinator
    this.#membership = membership
    this.#instanceId = instanceId
  }

  /**
   * Commits, after all commits that were asked for before.
   *
   * @throws {ClientError} `CLIENT_NOT_A_MEMBER` if the group has given the member up; `CLIENT_TIMED_OUT`: it may or may not be
   *   committed; the protocol's, such as `OFFSET_METADATA_TOO_LARGE`; `UNKNOWN_TOPIC_ID` for topics that are no more, when the
   *   others are committed.
   */
  async commit(offsets: readonly OwnedOffset[], options: OffsetOptions = {}): Promise<void> {
    const { life } = this.#membership
    if (this.#commits.depth >= COMMITS_WAITING_MAX) {
      const message = `Cannot commit: ${COMMITS_WAITING_MAX} commits wait already; await them`
      throw new ClientError('CLIENT_BAD_ARGUMENT', message, { retriable: true })
    }
    await this.#commits.run(() => this.#commit(offsets, life, options))
  }

  /** Resolves when all that was asked for before has its outcome. */
  settled(): Promise<void> {
    return this.#commits.depth === 0 ? Promise.resolve() : this.#commits.idle()
  }

  /**
   * What the group has committed.
   *
   * @throws {ClientError} As `commit`.
   */
  async committed(
    partitions: readonly OwnedPartition[],
    options: OffsetOptions = {},
  ): Promise<CommittedOffset[]> {
    if (partitions.length === 0) return []
    const attempted = `Cannot fetch what group '${this.#groupId}' has committed`
    return this.#coordinator.retried(attempted, this.#limits(options), async (timeoutMs) => {
      const { memberId, epoch } = this.#membership
      const topics = byTopic(
        partitions,
        ({ topicId }) => topicId,
        ({ partition }) => partition,
      )
      const groups = [
        {
          groupId: this.#groupId,
          ...(epoch > 0 ? { memberId, memberEpoch: epoch } : {}),
          topics: topics.map(({ name, topicId, items }) => ({ name, topicId, partitionIndexes: items })),
        },
      ]
      const body = { groups, requireStable: true }
      const answer = await this.#coordinator.request('OffsetFetch', () => body, {
        timeoutMs,
        signal: options.signal,
      })
      const group = answer.groups[0]
      if (group === undefined)
        throw new ClientError('CLIENT_PROTOCOL_VIOLATED', `${attempted}: the answer has no group`)
      if (!(await this.#mayGoOn(attempted, group.errorCode))) return null
      const found: CommittedOffset[] = []
      for (const { name, topicId, partitions: answers } of group.topics) {
        const topic = topics.find((one) => (name === '' ? one.topicId === topicId : one.name === name))
        for (const { partitionIndex, committedOffset, metadata, errorCode } of answers) {
          if (!(await this.#mayGoOn(attempted, errorCode))) return null
          const isNone = committedOffset === NO_OFFSET
          if (topic !== undefined) found.push({ topic: topic.name, partition: partitionIndex, offset: isNone ? null : committedOffset, metadata: isNone ? null : metadata }) // prettier-ignore
        }
      }
      return found
    })
  }

  get #groupId(): string {
    return this.#coordinator.groupId
  }

  async #commit(offsets: readonly OwnedOffset[], life: number, options: OffsetOptions): Promise<void> {
    if (offsets.length === 0) return
    const attempted = `Cannot commit offsets of group '${this.#groupId}'`
    const outcome = await this.#coordinator.retried(attempted, this.#limits(options), async (timeoutMs) => {
      const { epoch, memberId } = this.#membership
      const present = offsets.filter(({ owned }) => !owned.isGone)
      const isMember = epoch > 0 && life === this.#membership.life
      if (!isMember || present.length === 0) throw notAMember(attempted)
      const topics = byTopic(
        present,
        ({ owned }) => owned.topicId,
        ({ partition, offset, metadata }) => ({
          partitionIndex: partition,
          committedOffset: offset,
          committedMetadata: metadata ?? '',
        }),
      )
      const body = {
        groupId: this.#groupId,
        generationIdOrMemberEpoch: epoch,
        memberId,
        groupInstanceId: this.#instanceId,
        topics: topics.map(({ name, topicId, items }) => ({ name, topicId, partitions: items })),
      }
      const answer = await this.#coordinator.request('OffsetCommit', () => body, {
        timeoutMs,
        signal: options.signal,
      })
      let hasVanished = false
      for (const { partitions } of answer.topics) {
        for (const { errorCode } of partitions) {
          // Its coordinator has known every topic that it assigned: one that it does not know is no more, and will not be again.
          if (errorCode === UNKNOWN_TOPIC_ID) hasVanished = true
          else if (!(await this.#mayGoOn(attempted, errorCode))) return null
        }
      }
      return hasVanished ? 'but for topics that are no more' : 'all'
    })
    if (outcome !== 'all') throw brokerError(attempted, UNKNOWN_TOPIC_ID)
  }

  /** False: the same may be asked again. @throws {ClientError} If that is of no use. */
  async #mayGoOn(attempted: string, code: number): Promise<boolean> {
    if (code === 0) return true
    const { name } = errorByCode(code)
    if (this.#coordinator.isPassing(code)) return false
    if (name === 'STALE_MEMBER_EPOCH') {
      // The coordinator has moved on to an epoch that the answer to a heartbeat will tell.
      await this.#membership.heardAgain()
      return false
    }
    if (NOT_A_MEMBER.has(name)) {
      throw notAMember(attempted, brokerError(attempted, code))
    }
    if (isRetriable(code)) return false
    throw brokerError(attempted, code)
  }

  #limits({ timeoutMs, signal }: OffsetOptions): { deadlineMs: number; signal?: AbortSignal | undefined } {
    const { ports, config } = this.#coordinator.cluster
    return { deadlineMs: ports.clock.monotonicMs() + (timeoutMs ?? config.requestTimeoutMs), signal }
  }
}

interface TopicItems<U> {
  readonly name: string
  readonly topicId: string
  readonly items: U[]
}

function byTopic<T extends TopicPartition, U>(
  items: readonly T[],
  idOf: (item: T) => string,
  map: (item: T) => U,
): TopicItems<U>[] {
  const topics = new Map<string, TopicItems<U>>()
  for (const item of items) {
    const { topic: name } = item
    const topicId = idOf(item)
    const known = topics.get(topicId)
    if (known === undefined) topics.set(topicId, { name, topicId, items: [map(item)] })
    else known.items.push(map(item))
  }
  return [...topics.values()]
}

export function notAMember(attempted: string, cause?: Error): ClientError {
  const message = `${attempted}: the group has given this member up, and others may have read on; what it did since its last commit will be repeated`
  return new ClientError('CLIENT_NOT_A_MEMBER', message, cause === undefined ? {} : { cause })
}
