/**
 * Members that speak the classic protocol in a group of the consumer protocol (KIP-848): their JoinGroup, SyncGroup, Heartbeat
 * and LeaveGroup. They lead nothing and assign nothing; the group assigns, and moves them as it moves all its members:
 *
 *   Heartbeat: REBALANCE_IN_PROGRESS ─► gives up what its protocol says ─► JoinGroup, naming what it still has
 *                        ▲                                                   │ its generation is its member epoch
 *                        └── has to give up more, or more has become free ── SyncGroup: what it may use
 *
 * Invariants:
 * - What such a member was assigned changes by its own JoinGroup alone, and so does its epoch: it is the only request in which
 *   it says what it has. With an eager assignor that is nothing (docs/faults.md G1).
 * - Who was told to join again, or joined and has yet to sync, has its rebalance time-out for it, and is removed then.
 * - No request waits for other members.
 */
import type { ErrorName } from '../../../protocol/errors.ts'
import { errorCode } from '../../../protocol/errors.ts'
import type { HeartbeatRequest, HeartbeatResponse } from '../../../protocol/messages/heartbeat.ts'
import type { JoinGroupRequest, JoinGroupResponse } from '../../../protocol/messages/join-group.ts'
import type { LeaveGroupRequest, LeaveGroupResponse } from '../../../protocol/messages/leave-group.ts'
import type { SyncGroupRequest, SyncGroupResponse } from '../../../protocol/messages/sync-group.ts'
import { CoordinatorFailure } from '../../shard-context.ts'
import type { ShardContext } from '../../shard-context.ts'
import {
  LEAVE_MANY_VERSION,
  heartbeatAnswer,
  isOther,
  joinFault,
  leaveAnswer,
  syncFault,
} from '../classic/answers.ts'
import { PENDING_MEMBERS_MAX } from '../classic/classic-group.ts'
import type { MemberClaim } from '../classic/classic-member.ts'
import { writeAssignment } from '../classic/consumer-protocol.ts'
import { MEMBER_ID_REQUIRED_VERSION, claimOf, findJoinFault, newMemberId } from '../classic/join-request.ts'
import { listPartitions } from './assignment-sets.ts'
import { CONSUMER_PROTOCOL_TYPE, readClaim, speaksClassic, withClaim } from './classic-claim.ts'
import type { ClassicSpeakingMember } from './classic-claim.ts'
import { newMember } from './consumer-member.ts'
import type { ConsumerMember } from './consumer-member.ts'
import { decideStep } from './group-step.ts'
import type { StepDecision, StepGround } from './group-step.ts'
import type { GroupState } from './group-state.ts'
import { atTheDoor } from './heartbeat-decision.ts'
import type { HeartbeatClient } from './heartbeat-decision.ts'
import type { MemberDeadlines } from './member-deadlines.ts'
import { toAssignment, toNamed } from './named-partitions.ts'

/** Least time for a rejoin, in ms, as in classic groups: a member may ask for none. */
const REJOIN_MS_MIN = 1_000

/** What became of records: whether they were replayed, which happens within the call or never, and when they are committed. */
export interface Written {
  readonly isReplayed: boolean
  readonly committed: Promise<void>
}

/** The group that the members are in. */
export interface ClassicHost {
  readonly groupId: string
  readonly state: GroupState
  readonly ground: () => StepGround
  readonly deadlines: MemberDeadlines
  /** Writes what was decided, and takes note of it. Null: it is more than a batch of the log may hold. */
  readonly apply: (decision: StepDecision) => Written | null
  /** Removes members. Afterwards the group may be another: a classic one, if no others than such members are left. */
  readonly remove: (members: readonly ConsumerMember[]) => Written
}

interface Joining {
  readonly base: ConsumerMember
  readonly replaced: ConsumerMember | null
}

export class ClassicMembers {
  readonly #context: ShardContext
  readonly #host: ClassicHost
  /** Ids given out and not used yet (KIP-394), in the order of their age, and until when they are good: monotonic ms. */
  readonly #pendingIds = new Map<string, number>()

  constructor(context: ShardContext, host: ClassicHost) {
    this.#context = context
    this.#host = host
  }

  /** Ids given out that are still good, and for how long, in ms. */
  *pendingIds(): IterableIterator<[memberId: string, leftMs: number]> {
    const nowMs = this.#context.clock.monotonicMs()
    for (const [memberId, endMs] of this.#pendingIds) if (endMs > nowMs) yield [memberId, endMs - nowMs]
  }

  /** Lets a newcomer join with an id that it was given. The oldest is forgotten when there are too many. */
  expect(memberId: string, timeoutMs: number): void {
    if (this.#pendingIds.size >= PENDING_MEMBERS_MAX) {
      for (const oldest of this.#pendingIds.keys()) {
        this.#pendingIds.delete(oldest)
        break
      }
    }
    this.#pendingIds.set(memberId, this.#context.clock.monotonicMs() + timeoutMs)
  }

  /** Starts the session of a member, or starts it anew: it was heard of. */
  touch(member: ClassicSpeakingMember): void {
    this.#host.deadlines.set(member.memberId, 'session', member.classicMetadata.sessionTimeoutMs)
  }

  /**
   * JoinGroup: answered at once with the member's generation.
   *
   * @returns Null when the group has become another by it, which is to be asked in its place.
   */
  join(request: JoinGroupRequest, client: HeartbeatClient): Promise<JoinGroupResponse> | null {
    const { apiVersion } = client
    const refuse = (error: ErrorName, id = request.memberId) =>
      Promise.resolve(joinFault(error, id, apiVersion))
    const fault = findJoinFault(request, this.#context.config)
    if (fault !== null) return refuse(fault)
    if (request.protocolType !== CONSUMER_PROTOCOL_TYPE) return refuse('INCONSISTENT_GROUP_PROTOCOL')
    const claim = claimOf(request, client)
    const read = readClaim(claim)
    if (typeof read === 'string') return refuse('INCONSISTENT_GROUP_PROTOCOL')

    const { state, groupId } = this.#host
    const found = this.#findJoining(request, client)
    if (typeof found === 'string') return refuse(found)
    const { base, replaced } = found
    const isNew = replaced === null && !state.members.has(base.memberId)
    if (isNew && state.members.size >= this.#context.config.consumerGroupSizeMax) {
      return refuse('GROUP_MAX_SIZE_REACHED', '')
    }
    if (!this.#canSpeak(replaced ?? base, claim)) return refuse('INCONSISTENT_GROUP_PROTOCOL')
    if (isNew && request.memberId === '' && request.groupInstanceId === null) {
      if (apiVersion >= MEMBER_ID_REQUIRED_VERSION) {
        this.expect(base.memberId, claim.sessionTimeoutMs)
        return refuse('MEMBER_ID_REQUIRED', base.memberId)
      }
    }
    if (replaced !== null && !speaksClassic(replaced) && state.members.size - state.classicCount === 1) {
      // Its place was the last one of the consumer protocol, so that the group is on its way back.
      if (!this.#host.remove([replaced]).isReplayed) return refuse('COORDINATOR_NOT_AVAILABLE')
      return state.members.size === 0 ? null : this.join(request, client)
    }
    const input = {
      ...this.#host.ground(),
      ...{
        base,
        replaced,
        updated: withClaim(base, request.groupInstanceId ?? base.instanceId, claim, read),
      },
      owned: listPartitions(toAssignment(read.owned, this.#context.image())),
      isListening: true,
    }
    let decision = decideStep(input)
    let written = this.#host.apply(decision)
    if (written === null && !isNew) {
      decision = decideStep({ ...input, mustDeferTarget: true })
      written = this.#host.apply(decision)
    }
    if (written === null) return refuse('GROUP_MAX_SIZE_REACHED', '')
    const { after } = decision
    if (written.isReplayed) {
      this.#pendingIds.delete(after.memberId)
      if (speaksClassic(after)) this.touch(after)
      this.#host.deadlines.set(after.memberId, 'revocation', rejoinMs(after))
      if (isNew || replaced !== null) {
        const { memberId, instanceId } = after
        this.#context.logger.info('A classic member joins a group of the consumer protocol', {
          groupId,
          memberId,
          instanceId,
        })
      }
    }
    const [protocolName] = claim.protocols.keys()
    const answer = {
      ...joinFault('NONE', after.memberId, apiVersion),
      ...{ generationId: after.epoch, protocolType: CONSUMER_PROTOCOL_TYPE, protocolName: protocolName! },
    }
    return whenCommitted(written.committed, answer, (error) => joinFault(error, after.memberId, apiVersion))
  }

  /** SyncGroup: tells the member what it may use. */
  sync(request: SyncGroupRequest): Promise<SyncGroupResponse> {
    const refuse = (error: ErrorName) => Promise.resolve(syncFault(error))
    const member = this.#findSpeaker(request)
    if (typeof member === 'string') return refuse(member)
    const protocolName = member.classicMetadata.supportedProtocols[0]!.name
    if (
      isOther(request.protocolType, CONSUMER_PROTOCOL_TYPE) ||
      isOther(request.protocolName, protocolName)
    ) {
      return refuse('INCONSISTENT_GROUP_PROTOCOL')
    }
    this.touch(member)
    const { deadlines } = this.#host
    if (this.#isBehind(member) && member.state !== 'unrevoked') {
      deadlines.setUnlessSet(member.memberId, 'revocation', rejoinMs(member))
      return refuse('REBALANCE_IN_PROGRESS')
    }
    // With something to give up, it does that now, and joins again when it has.
    const leftMs = member.state === 'unrevoked' ? rejoinMs(member) : Infinity
    deadlines.set(member.memberId, 'revocation', leftMs)
    const answer = {
      ...syncFault('NONE'),
      ...{ protocolType: CONSUMER_PROTOCOL_TYPE, protocolName },
      assignment: writeAssignment(toNamed(member.assigned, this.#context.image())),
    }
    return whenCommitted(this.#context.write([]), answer, syncFault)
  }

  /** Heartbeat: keeps the session, and tells a member that has a step to make to join again. */
  heartbeat(request: HeartbeatRequest): Promise<HeartbeatResponse> {
    const member = this.#findSpeaker(request)
    if (typeof member === 'string') return Promise.resolve(heartbeatAnswer(member))
    this.touch(member)
    const ground = this.#host.ground()
    // Nobody else may be there to see that topics have changed. The member itself is moved by its joins alone.
    if (ground.isRefreshDue) {
      const decision = decideStep({
        ...ground,
        ...{ base: member, updated: member, replaced: null, owned: null, isListening: false },
      })
      this.#host.apply(decision)?.committed.catch(() => {
        // Whoever waits for the log is told below; the next heartbeat tries again.
      })
    }
    const mustJoin = this.#isBehind(member) || this.#hasStepToMake(member)
    if (mustJoin) this.#host.deadlines.setUnlessSet(member.memberId, 'revocation', rejoinMs(member))
    const answer = heartbeatAnswer(mustJoin ? 'REBALANCE_IN_PROGRESS' : 'NONE')
    return whenCommitted(this.#context.write([]), answer, heartbeatAnswer)
  }

  /** LeaveGroup: of members that speak the classic protocol, and of any static one by its instance id alone. */
  leave(request: LeaveGroupRequest, apiVersion: number): Promise<LeaveGroupResponse> {
    const isMany = apiVersion >= LEAVE_MANY_VERSION
    const leaving = isMany ? request.members : [{ memberId: request.memberId, groupInstanceId: null }]
    const gone = new Set<ConsumerMember>()
    const answers = leaving.map(({ memberId, groupInstanceId }) => {
      const error = this.#findLeaving(memberId, groupInstanceId, gone)
      return { memberId, groupInstanceId, errorCode: errorCode(error), error }
    })
    const committed = gone.size > 0 ? this.#host.remove([...gone]).committed : this.#context.write([])
    const answer = isMany
      ? leaveAnswer(
          'NONE',
          answers.map(({ memberId, groupInstanceId, errorCode: code }) => ({
            ...{ memberId, groupInstanceId, errorCode: code },
          })),
        )
      : leaveAnswer(answers[0]!.error, [])
    return whenCommitted(committed, answer, (error) => leaveAnswer(error, []))
  }

  /** The member that joins, again or anew, and whose place it takes; or why it cannot. */
  #findJoining(request: JoinGroupRequest, client: HeartbeatClient): Joining | ErrorName {
    const { memberId, groupInstanceId: instanceId } = request
    const { state } = this.#host
    if (memberId === '') {
      const id = newMemberId(instanceId ?? client.clientId, this.#context.random)
      const holder = instanceId === null ? null : state.findStaticMember(instanceId)
      if (holder === null) return { base: newMember(id), replaced: null }
      return { base: { ...atTheDoor(holder), memberId: id }, replaced: holder }
    }
    if (instanceId === null && this.#isPending(memberId)) return { base: newMember(memberId), replaced: null }
    const member = this.#identify(memberId, instanceId)
    return typeof member === 'string' ? member : { base: member, replaced: null }
  }

  #isPending(memberId: string): boolean {
    const endMs = this.#pendingIds.get(memberId)
    return endMs !== undefined && endMs > this.#context.clock.monotonicMs()
  }

  /** Whether all that speak the classic protocol would have a strategy in common, or no classic group could be made of them. */
  #canSpeak(place: ConsumerMember, claim: MemberClaim): boolean {
    const { state } = this.#host
    const own = speaksClassic(place) && state.members.has(place.memberId) ? place.classicMetadata : null
    const ownNames = new Set(own?.supportedProtocols.map(({ name }) => name))
    const others = state.classicCount - (own === null ? 0 : 1)
    for (const name of claim.protocols.keys()) {
      if (state.supportersOf(name) - (ownNames.has(name) ? 1 : 0) === others) return true
    }
    return false
  }

  /** The member that sends a sync or a heartbeat in its generation, or why it may not. */
  #findSpeaker(request: {
    readonly memberId: string
    readonly groupInstanceId: string | null
    readonly generationId: number
  }): ClassicSpeakingMember | ErrorName {
    const member = this.#identify(request.memberId, request.groupInstanceId)
    if (typeof member === 'string') return member
    return request.generationId === member.epoch ? member : 'ILLEGAL_GENERATION'
  }

  #identify(memberId: string, instanceId: string | null): ClassicSpeakingMember | ErrorName {
    const { state } = this.#host
    if (instanceId !== null) {
      const holder = state.findStaticMember(instanceId)
      if (holder === null) return 'UNKNOWN_MEMBER_ID'
      if (holder.memberId !== memberId) return 'FENCED_INSTANCE_ID'
    }
    const member = state.members.get(memberId)
    return member !== undefined && speaksClassic(member) ? member : 'UNKNOWN_MEMBER_ID'
  }

  #findLeaving(memberId: string, instanceId: string | null, gone: Set<ConsumerMember>): ErrorName {
    if (instanceId === null && this.#pendingIds.delete(memberId)) return 'NONE'
    const found =
      memberId === '' && instanceId !== null
        ? (this.#host.state.findStaticMember(instanceId) ?? 'UNKNOWN_MEMBER_ID')
        : this.#identify(memberId, instanceId)
    if (typeof found === 'string') return found
    if (gone.has(found)) return 'UNKNOWN_MEMBER_ID'
    gone.add(found)
    return 'NONE'
  }

  /** Whether the group has gone on without the member. While its next assignment has to wait, there is nothing to join for. */
  #isBehind({ epoch }: ConsumerMember): boolean {
    const { state } = this.#host
    if (epoch >= state.epoch) return false
    return epoch < state.assignmentEpoch || !this.#host.ground().mustDeferTarget
  }

  /** Whether it has to give something up, or all that it waited for has become free. */
  #hasStepToMake(member: ConsumerMember): boolean {
    if (member.state === 'unrevoked' || member.state === 'unknown') return true
    if (member.state !== 'unreleased') return false
    const { state } = this.#host
    for (const [topicId, partitions] of state.targets.get(member.memberId) ?? []) {
      for (const partition of partitions) {
        const owner = state.ownerOf(topicId, partition)
        if (owner !== null && owner !== member.memberId) return false
      }
    }
    return true
  }
}

function rejoinMs({ rebalanceTimeoutMs }: ConsumerMember): number {
  return Math.max(REJOIN_MS_MIN, rebalanceTimeoutMs)
}

/** Gives the answer when what it tells of is committed, or the error that says why that is not known. */
async function whenCommitted<Response>(
  committed: Promise<void>,
  answer: Response,
  fail: (error: ErrorName) => Response,
): Promise<Response> {
  try {
    await committed
    return answer
  } catch (failure) {
    if (failure instanceof CoordinatorFailure) return fail(failure.error)
    throw failure
  }
}
