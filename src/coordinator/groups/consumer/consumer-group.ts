/**
 * One group of the consumer protocol (KIP-848): the coordinator computes who shall have which partition, and each member moves
 * there by its own heartbeats, giving up before others get.
 *
 * The log is the truth (group-state.ts): a heartbeat is decided on it (heartbeat-decision.ts), the records are written as one
 * batch and replayed, and the answer leaves when they are committed. Soft state beside it: deadlines, whether topics may have
 * changed, and when the next target assignment may be computed; `loaded` starts it anew.
 *
 * Invariants: G1, G2, G3 and G8 of faults.md. A heartbeat that changes nothing writes nothing and costs O(1) but for what it
 * lists itself.
 */
import { assert } from '../../../base/assert.ts'
import { errorCode } from '../../../protocol/errors.ts'
import type { ErrorName } from '../../../protocol/errors.ts'
import type {
  ConsumerGroupHeartbeatRequest,
  ConsumerGroupHeartbeatResponseInput,
} from '../../../protocol/messages/consumer-group-heartbeat.ts'
import { batchBytesOf } from '../../batch-size.ts'
import { mayDowngrade } from '../../group-config.ts'
import type { CoordinatorRecord } from '../../records/coordinator-record.ts'
import { CoordinatorFailure } from '../../shard-context.ts'
import type { ShardContext } from '../../shard-context.ts'
import { groupRecord } from '../classic/group-record.ts'
import type { GroupRecordValue } from '../classic/group-record.ts'
import type { CommittingMember, Group } from '../group.ts'
import { isWithin, listPartitions } from './assignment-sets.ts'
import { speaksClassic } from './classic-claim.ts'
import type { ClassicSpeakingMember } from './classic-claim.ts'
import { ClassicMembers } from './classic-members.ts'
import type { Written } from './classic-members.ts'
import { downgradedGroup } from './conversion.ts'
import { LEAVE_EPOCH, STATIC_LEAVE_EPOCH, currentRecord, memberTombstones } from './consumer-member.ts'
import type { ConsumerMember } from './consumer-member.ts'
import { describeGroup } from './describe-group.ts'
import type { DescribedConsumerGroup } from './describe-group.ts'
import { epochRecords, patternTombstones, targetMetadataRecord } from './group-step.ts'
import type { StepDecision, StepGround } from './group-step.ts'
import { GroupState, isConsumerGroupRecord, namesRead } from './group-state.ts'
import type { ConsumerGroupRecord } from './group-state.ts'
import { findRequestFault } from './heartbeat-checks.ts'
import type { Refusal } from './heartbeat-checks.ts'
import { decideHeartbeat, fencedInstance, mustTellAssignment, unknownMember } from './heartbeat-decision.ts'
import type { HeartbeatClient } from './heartbeat-decision.ts'
import { MemberDeadlines } from './member-deadlines.ts'
import type { DeadlineKind } from './member-deadlines.ts'
import type { PatternResolver } from './pattern-resolver.ts'
import { chooseAssignor, hashTopics } from './target-assignment.ts'

/** From this version on OffsetCommit knows STALE_MEMBER_EPOCH. */
const MEMBER_EPOCH_COMMIT_VERSION = 9
/** After a target assignment, for this many times what it took, in ms, there is no other: assignments get 5 % of the time. */
const PAUSE_PER_ASSIGNMENT = 19
/**
 * While members are on their way to their targets, and for one usual interval after the group's epoch rose, they are told to
 * send heartbeats this often, in ms: a partition changes hands by three heartbeats of two members, which at the usual 5 s
 * takes 10 s. Large groups are told one ms more for each member, so that they send no more than 1,000 in a second.
 */
const RESTLESS_HEARTBEAT_MS = 200
const RESTLESS_MS_PER_MEMBER = 1
/** How long a group that cannot write its next assignment goes on with the present one before it tries again, in ms. */
const TOO_LARGE_PAUSE_MS = 10_000
/** When to try again to remove the expired, in ms, after their removal could not be written. */
const REMOVAL_RETRY_MS = 1000

/** The classic group that the group becomes when all members that are left speak the classic protocol. */
export interface Successor {
  /** What its generation must not be below. */
  generationMin(): number
  /** The group is in the log, in the place of this one. @param pendingIds - Ids of newcomers, and for how long, in ms. */
  begin(value: GroupRecordValue, pendingIds: readonly (readonly [memberId: string, leftMs: number])[]): void
}

export class ConsumerGroup implements Group {
  readonly groupId: string
  readonly kind = 'consumer'
  readonly protocolType = 'consumer'
  readonly state = new GroupState()
  /** Members that speak the classic protocol, and their requests. */
  readonly classic: ClassicMembers
  readonly #context: ShardContext
  readonly #patterns: PatternResolver
  readonly #deadlines: MemberDeadlines
  readonly #successor: Successor
  #replayCount = 0
  /** A load may have passed over changes of topics, too. */
  #isRefreshDue = true
  /** Monotonic ms. */
  #nextTargetMs = 0
  #restlessEndMs = 0
  /** Wall clock, ms; for groups whose log does not say since when they are empty. */
  #loadedMs: number | null = null

  /** @param patterns - Of the shard, for all its groups. */
  constructor(context: ShardContext, groupId: string, patterns: PatternResolver, successor: Successor) {
    this.groupId = groupId
    this.#context = context
    this.#patterns = patterns
    this.#successor = successor
    const deadlines = new MemberDeadlines(context.clock, (expired) => this.#removeExpired(expired))
    this.#deadlines = deadlines
    this.classic = new ClassicMembers(context, {
      ...{ groupId, deadlines, state: this.state },
      ground: () => this.#ground(this.state),
      apply: (decision) => this.#apply(decision),
      remove: (members) => this.#remove(members),
    })
  }

  get stateName(): string {
    return this.state.name
  }

  get isEmpty(): boolean {
    return this.state.members.size === 0
  }

  /** Whether the log says nothing of it: a group that was asked for, and that nobody has joined. */
  get isBlank(): boolean {
    return this.state.isBlank
  }

  get emptySinceMs(): number | null {
    if (!this.isEmpty) return null
    return this.state.assignmentTimestampMs > 0 ? this.state.assignmentTimestampMs : this.#loadedMs
  }

  isSubscribedTo(topic: string): boolean {
    if (this.state.subscribedNames.has(topic)) return true
    for (const { pattern } of this.state.members.values()) {
      if (pattern !== null && !this.state.patterns.has(pattern)) return true
    }
    return false
  }

  replay(record: ConsumerGroupRecord): void {
    this.#replayCount++
    this.state.replay(record)
  }

  loaded(): void {
    this.state.rebuildOwners()
    this.#loadedMs = this.#context.clock.wallTimeMs()
    for (const member of this.state.members.values()) {
      this.#deadlines.set(member.memberId, 'session', this.#sessionMs(member))
      if (member.state === 'unrevoked') {
        this.#deadlines.set(member.memberId, 'revocation', member.rebalanceTimeoutMs)
      }
    }
  }

  close(): void {
    this.#deadlines.close()
    this.#patterns.keepOnly(this.groupId, new Set())
  }

  /** Topics of these names came, went or have more partitions (`findTopicChanges`). The next heartbeat sees to it. */
  topicsChanged(names: ReadonlySet<string>): void {
    if (this.#isRefreshDue || this.isEmpty) return
    const { members, subscribedNames } = this.state
    for (const name of names) this.#isRefreshDue ||= subscribedNames.has(name)
    for (const { pattern } of members.values()) this.#isRefreshDue ||= pattern !== null && names.size > 0
  }

  /**
   * ConsumerGroupHeartbeat: joins, leaves, or goes on.
   *
   * @param upgrade - Written in the same batch, before what the heartbeat makes of it: the members of a classic group.
   * @returns The answer, with the protocol's errors in it; never rejects but for defects.
   */
  async heartbeat(
    request: ConsumerGroupHeartbeatRequest,
    client: HeartbeatClient,
    upgrade: readonly CoordinatorRecord[] = [],
  ): Promise<ConsumerGroupHeartbeatResponseInput> {
    const fault = findRequestFault(request, client.apiVersion, this.#context.config)
    if (fault !== null) return refuse(fault)
    const { memberEpoch } = request
    const isLeaving = memberEpoch === LEAVE_EPOCH || memberEpoch === STATIC_LEAVE_EPOCH
    try {
      return await (isLeaving ? this.#leave(request) : this.#goOn(request, client, upgrade))
    } catch (error) {
      if (error instanceof CoordinatorFailure) return refuse({ error: error.error, message: error.message })
      throw error
    }
  }

  /** The group as ConsumerGroupDescribe tells it; to be sent once all that was written before is committed. */
  describe(): DescribedConsumerGroup {
    const assignorName = chooseAssignor(this.state.members.values(), this.#context.config.consumerAssignors)
    return describeGroup(this.groupId, this.state, assignorName, this.#context.image())
  }

  findCommitFault(member: CommittingMember, apiVersion: number, isTransactional: boolean): ErrorName | null {
    const { memberId, groupInstanceId, generationIdOrMemberEpoch: epoch } = member
    // Tools, and consumers that assign partitions to themselves, may commit while nobody else is there to.
    if (epoch < 0 && this.isEmpty) return null
    if (isTransactional && epoch < 0 && memberId === '' && groupInstanceId === null) return null
    const known = this.state.members.get(memberId)
    if (known === undefined) return 'UNKNOWN_MEMBER_ID'
    const isClassic = known.classicMetadata !== null
    if (!isTransactional && !isClassic && apiVersion < MEMBER_EPOCH_COMMIT_VERSION)
      return 'UNSUPPORTED_VERSION'
    return findEpochMismatch(known, epoch)
  }

  /** A member that commits is alive; one of the consumer protocol says so by its heartbeats alone. */
  keepAlive(memberId: string): void {
    const member = this.state.members.get(memberId)
    if (member !== undefined && speaksClassic(member)) this.classic.touch(member)
  }

  findFetchFault(member: {
    readonly memberId: string | null
    readonly memberEpoch: number
  }): ErrorName | null {
    if (member.memberId === null && member.memberEpoch < 0) return null
    const known = this.state.members.get(member.memberId ?? '')
    return known === undefined ? 'UNKNOWN_MEMBER_ID' : findEpochMismatch(known, member.memberEpoch)
  }

  findDeleteFault(): ErrorName | null {
    return this.isEmpty ? null : 'NON_EMPTY_GROUP'
  }

  /** In Kafka's order: what hangs on others goes before them, the group's epoch last. */
  tombstones(): CoordinatorRecord[] {
    const { groupId, state } = this
    const memberKeys = [...state.members.keys()].map((memberId) => ({ groupId, memberId }))
    const targetKeys = [...state.targets.keys()].map((memberId) => ({ groupId, memberId }))
    const records: CoordinatorRecord[] = []
    for (const key of memberKeys) {
      records.push({ kind: 'ConsumerGroupCurrentMemberAssignment', key, value: null })
    }
    for (const key of targetKeys) {
      records.push({ kind: 'ConsumerGroupTargetAssignmentMember', key, value: null })
    }
    records.push({ kind: 'ConsumerGroupTargetAssignmentMetadata', key: { groupId }, value: null })
    for (const key of memberKeys) records.push({ kind: 'ConsumerGroupMemberMetadata', key, value: null })
    records.push(...patternTombstones(groupId, state, new Set()))
    if (state.hasPartitionMetadata) {
      records.push({ kind: 'ConsumerGroupPartitionMetadata', key: { groupId }, value: null })
    }
    records.push({ kind: 'ConsumerGroupMetadata', key: { groupId }, value: null })
    return records
  }

  async #goOn(
    request: ConsumerGroupHeartbeatRequest,
    client: HeartbeatClient,
    upgrade: readonly CoordinatorRecord[],
  ): Promise<ConsumerGroupHeartbeatResponseInput> {
    const ground = this.#ground(upgrade.length === 0 ? this.state : this.#foresee(upgrade))
    const memberId = request.memberId === '' ? this.#context.random.uuid() : request.memberId
    let decision = decideHeartbeat({ ...ground, request, memberId, client })
    if ('error' in decision) return this.#refuse(decision)
    let written = this.#apply(decision, upgrade)
    if (written === null && this.state.members.has(memberId)) {
      decision = decideHeartbeat({ ...ground, request, memberId, client, mustDeferTarget: true })
      if ('error' in decision) return this.#refuse(decision)
      written = this.#apply(decision, upgrade)
    }
    if (written === null) return this.#refuse(tooLarge(this.groupId))
    const { before, after } = decision
    const { isReplayed, committed } = written
    if (isReplayed) {
      this.#watch(before, after)
      if (upgrade.length > 0) this.#watchUpgraded()
    }
    const answer = {
      errorCode: errorCode('NONE'),
      memberId: after.memberId,
      memberEpoch: after.epoch,
      heartbeatIntervalMs: this.#heartbeatIntervalMs(),
      assignment: mustTellAssignment(request, before, after)
        ? { topicPartitions: listPartitions(after.assigned) }
        : null,
    }
    await committed
    return answer
  }

  #ground(state: GroupState): StepGround {
    return {
      ...{ context: this.#context, groupId: this.groupId, patterns: this.#patterns, state },
      isRefreshDue: this.#isRefreshDue,
      mustDeferTarget: this.#context.clock.monotonicMs() < this.#nextTargetMs,
    }
  }

  /** The state as it will be. */
  #foresee(records: readonly CoordinatorRecord[]): GroupState {
    const state = this.state.fork()
    for (const record of records) if (isConsumerGroupRecord(record)) state.replay(record)
    return state
  }

  /** Writes what was decided, and takes note of it. Null: it does not fit a batch of the log, and nothing was done. */
  #apply(decision: StepDecision, before: readonly CoordinatorRecord[] = []): Written | null {
    const records = [...before, ...decision.records]
    if (records.length > 0 && batchBytesOf(records) > this.#context.batchBytesMax()) {
      const { groupId } = this
      this.#context.logger.warn(
        'A group cannot go on: its next step is more than a batch of the log may hold',
        { groupId },
      )
      this.#nextTargetMs = this.#context.clock.monotonicMs() + TOO_LARGE_PAUSE_MS
      return null
    }
    const written = this.#write(records)
    if (!written.isReplayed) return written
    const nowMs = this.#context.clock.monotonicMs()
    this.#isRefreshDue = !decision.isRefreshed
    if (decision.targetMs !== null) this.#nextTargetMs = nowMs + decision.targetMs * PAUSE_PER_ASSIGNMENT
    if (decision.raisesEpoch) this.#restlessEndMs = nowMs + this.#context.config.consumerHeartbeatIntervalMs
    if (decision.replacedId !== null) this.#deadlines.remove(decision.replacedId)
    return written
  }

  /** Starts the sessions of members that a classic group had. */
  #watchUpgraded(): void {
    for (const member of this.state.members.values()) if (speaksClassic(member)) this.classic.touch(member)
  }

  async #leave(request: ConsumerGroupHeartbeatRequest): Promise<ConsumerGroupHeartbeatResponseInput> {
    const { memberId, instanceId, memberEpoch } = request
    const member =
      instanceId === null ? this.state.members.get(memberId) : this.state.findStaticMember(instanceId)
    if (member === undefined || member === null) return this.#refuse(unknownMember(memberId))
    if (member.memberId !== memberId) return this.#refuse(fencedInstance(memberId, member))
    let committed: Promise<void>
    if (memberEpoch === STATIC_LEAVE_EPOCH) {
      // It has stopped, so that nothing is in its hands any more; what it was assigned waits for it until its session ends.
      const away: ConsumerMember = {
        ...member,
        epoch: STATIC_LEAVE_EPOCH,
        state: 'stable',
        revoking: new Map(),
      }
      const written = this.#write([currentRecord(this.groupId, away)])
      if (written.isReplayed) this.#deadlines.set(memberId, 'revocation', Infinity)
      committed = written.committed
    } else {
      committed = this.#remove([member]).committed
    }
    await committed
    return { errorCode: errorCode('NONE'), memberId, memberEpoch, heartbeatIntervalMs: 0 }
  }

  /** Also what a refusal tells of the group must be committed before it is told. */
  async #refuse(refusal: Refusal): Promise<ConsumerGroupHeartbeatResponseInput> {
    await this.#context.write([])
    return refuse(refusal)
  }

  /** Removes members, which frees their partitions, and raises the group's epoch so that the others get them. */
  #remove(members: readonly ConsumerMember[]): Written {
    const { groupId, state } = this
    const removed = new Set(members)
    const left = [...state.members.values()].filter((member) => !removed.has(member))
    const downgraded = left.length > 0 && left.every(speaksClassic) ? this.#downgrade(left) : null
    if (downgraded !== null) return downgraded
    const patterns = new Set(left.flatMap(({ pattern }) => pattern ?? []))
    const epoch = state.epoch + 1
    const hash = hashTopics(namesRead(left, state.patterns), this.#context.image())
    const records = [
      ...members.flatMap(({ memberId }) => memberTombstones(groupId, memberId)),
      ...patternTombstones(groupId, state, patterns),
      ...epochRecords(groupId, state, epoch, hash),
    ]
    // Of nobody, the target is at once what it shall be; its time is since when the group is empty.
    if (left.length === 0) {
      records.push(targetMetadataRecord(groupId, epoch, this.#context.clock.wallTimeMs()))
    }
    if (members.length > 1 && batchBytesOf(records) > this.#context.batchBytesMax()) {
      // Each for itself is as good: what must be one batch is the removal of one member.
      const half = Math.ceil(members.length / 2)
      const first = this.#remove(members.slice(0, half))
      // By the first half the group may have become a classic one, which sees to the others itself.
      const others = members.slice(half).filter(({ memberId }) => state.members.has(memberId))
      return first.isReplayed && others.length > 0 ? this.#remove(others) : first
    }
    const written = this.#write(records)
    if (written.isReplayed) {
      for (const { memberId } of members) this.#deadlines.remove(memberId)
      this.#patterns.keepOnly(groupId, patterns)
      this.#restlessEndMs =
        this.#context.clock.monotonicMs() + this.#context.config.consumerHeartbeatIntervalMs
    }
    return written
  }

  /** Makes it a classic group of the members that are left, all of which speak that protocol. Null if that cannot be. */
  #downgrade(left: readonly ClassicSpeakingMember[]): Written | null {
    const { config, clock, logger } = this.#context
    if (!mayDowngrade(config) || left.length > config.groupSizeMax) return null
    const { groupId, state } = this
    const generation = Math.max(state.epoch, this.#successor.generationMin())
    const now = { image: this.#context.image(), wallTimeMs: clock.wallTimeMs() }
    const value = downgradedGroup(left, generation, now)
    if (value === null) return null
    const records = [...this.tombstones(), groupRecord(groupId, value)]
    if (batchBytesOf(records) > this.#context.batchBytesMax()) {
      logger.warn('A group stays with the consumer protocol: its members do not fit a classic record', {
        groupId,
      })
      return null
    }
    const pendingIds = [...this.classic.pendingIds()]
    const written = this.#write(records)
    if (written.isReplayed) {
      logger.info('A group goes back to the classic protocol', { groupId, generation, members: left.length })
      this.#successor.begin(value, pendingIds)
    }
    return written
  }

  #removeExpired(expired: ReadonlyMap<string, DeadlineKind>): void {
    const members: ConsumerMember[] = []
    for (const [memberId, kind] of expired) {
      const member = this.state.members.get(memberId)
      assert(member !== undefined, `Only members have deadlines: ${memberId} is none`)
      members.push(member)
      this.#context.logger.info('Member removed from its group: out of time', {
        group: this.groupId,
        member: memberId,
        kind,
      })
    }
    const { isReplayed, committed } = this.#remove(members)
    if (!isReplayed) this.#deadlines.retry(REMOVAL_RETRY_MS)
    committed.catch((error: unknown) => {
      // Refused, it is tried again; made and not committed, the shard is closed and its successor sees to it.
      const cause = error instanceof Error ? error : new Error(String(error))
      this.#context.logger.warn('Could not remove members that are out of time', {
        group: this.groupId,
        error: cause,
      })
    })
  }

  /** Writes as the context does, and tells whether the records were replayed, which the context does within the call or never. */
  #write(records: readonly CoordinatorRecord[]): Written {
    const replayCount = this.#replayCount
    const committed = this.#context.write(records)
    return { isReplayed: records.length === 0 || this.#replayCount > replayCount, committed }
  }

  /** Sets the deadlines of a member that has just been heard. */
  #watch(before: ConsumerMember, after: ConsumerMember): void {
    this.#deadlines.set(after.memberId, 'session', this.#sessionMs(after))
    if (after.state !== 'unrevoked') {
      this.#deadlines.set(after.memberId, 'revocation', Infinity)
    } else if (before.state !== 'unrevoked' || !isWithin(before.revoking, after.revoking)) {
      // Only who has just begun, or has given up something, gets the whole time.
      this.#deadlines.set(after.memberId, 'revocation', after.rebalanceTimeoutMs)
    }
  }

  #sessionMs(member: ConsumerMember): number {
    return member.classicMetadata?.sessionTimeoutMs ?? this.#context.config.consumerSessionTimeoutMs
  }

  /** Short while there is something to be told soon, or will be: when a member is about to be given up. */
  #heartbeatIntervalMs(): number {
    const usualMs = this.#context.config.consumerHeartbeatIntervalMs
    const isAtRest =
      this.state.name === 'Stable' &&
      this.#context.clock.monotonicMs() >= this.#restlessEndMs &&
      !this.#deadlines.isAnyOverdue(2 * usualMs)
    if (isAtRest) return usualMs
    const restlessMs = Math.max(RESTLESS_HEARTBEAT_MS, this.state.members.size * RESTLESS_MS_PER_MEMBER)
    return Math.min(usualMs, restlessMs)
  }
}

function tooLarge(groupId: string): Refusal {
  const message = `Joined group ${JSON.stringify(groupId)}: with all its members it takes more than a batch of the log may hold`
  return { error: 'GROUP_MAX_SIZE_REACHED', message }
}

function refuse({ error, message }: Refusal): ConsumerGroupHeartbeatResponseInput {
  return {
    errorCode: errorCode(error),
    errorMessage: message,
    memberId: null,
    memberEpoch: 0,
    heartbeatIntervalMs: 0,
  }
}

/** G3: only who is at the present epoch may go on; a classic member is told so in its own words. */
function findEpochMismatch(member: ConsumerMember, epoch: number): ErrorName | null {
  if (epoch >= 0 && epoch === member.epoch) return null
  return member.classicMetadata === null ? 'STALE_MEMBER_EPOCH' : 'ILLEGAL_GENERATION'
}
