/**
 * A group of the classic protocol (JoinGroup, SyncGroup, Heartbeat, LeaveGroup), in which clients assign: what each request
 * means in each state. Rounds, time-outs and records are group-lifecycle.ts's.
 *
 * Invariants:
 * - Who is not in the group, speaks for an instance that another process has taken over, or names another generation is
 *   refused (docs/faults.md G3). Members are known by the id they were given, never by client id or address.
 * - Every request is answered, by the end of its round at the latest.
 * - An assignment is told only in the generation it was made for, and only when it is committed; in between a sync gets
 *   REBALANCE_IN_PROGRESS, never an empty assignment.
 * - What tells of state is told when all that was written before is committed; what merely refuses is told at once.
 * - Asking again is harmless: a member whose answer was lost gets the same generation and the same assignment.
 *
 * Methods decide in the turn of the call. None throws, and none rejects.
 *
 * @see KIP-62, KIP-134, KIP-345 (static members), KIP-394 (ids before joining, from v4 on), KIP-559, KIP-814.
 */
import type { ErrorName } from '../../../protocol/errors.ts'
import type { DescribeGroupsResponse } from '../../../protocol/messages/describe-groups.ts'
import type { HeartbeatRequest, HeartbeatResponse } from '../../../protocol/messages/heartbeat.ts'
import type { JoinGroupRequest, JoinGroupResponse } from '../../../protocol/messages/join-group.ts'
import type { LeaveGroupRequest, LeaveGroupResponse } from '../../../protocol/messages/leave-group.ts'
import type { SyncGroupRequest, SyncGroupResponse } from '../../../protocol/messages/sync-group.ts'
import { errorCode } from '../../../protocol/errors.ts'
import type { CoordinatorRecord, CoordinatorRecordOf } from '../../records/coordinator-record.ts'
import { CoordinatorFailure } from '../../shard-context.ts'
import type { ShardContext } from '../../shard-context.ts'
import type { CommittingMember, Group } from '../group.ts'
import {
  LEAVE_MANY_VERSION,
  assignmentAnswer,
  generationAnswer,
  heartbeatAnswer,
  isOther,
  joinFault,
  leaveAnswer,
  syncFault,
} from './answers.ts'
import { ClassicMember, NOTHING_ASSIGNED, hasSameProtocols } from './classic-member.ts'
import type { ClassicPresent, MemberClaim, Waiter } from './classic-member.ts'
import { GroupLifecycle } from './group-lifecycle.ts'
import { groupRecord } from './group-record.ts'
import { MEMBER_ID_REQUIRED_VERSION, claimOf, findJoinFault, newMemberId } from './join-request.ts'
import { RecordRoom } from './record-room.ts'
import { TopicsOfMembers, isSameSubscription } from './subscribed-topics.ts'

/** Who sent a request. */
export interface ClassicClient {
  /** Version of the request. */
  readonly apiVersion: number
  /** As it names itself; empty if it does not. Part of the ids it is given, and for descriptions. */
  readonly clientId: string
  /** Its address, for descriptions. */
  readonly clientHost: string
}

/** What DescribeGroups says of a group; the shard adds what the request asked for. */
export type ClassicDescription = Omit<DescribeGroupsResponse['groups'][number], 'authorizedOperations'>

/** First version whose leader can be told not to assign (KIP-814). */
const SKIP_ASSIGNMENT_VERSION = 9
/**
 * Ids given out and not used yet, of one group. The oldest goes when there are more: its client will be told that the id is
 * unknown, and asks for another one. Ids are used at once by clients that mean it.
 */
export const PENDING_MEMBERS_MAX = 10_000

/** Characters of a client's reason that are logged. */
const REASON_CHARACTERS_MAX = 255

export class ClassicGroup implements Group {
  readonly groupId: string
  readonly kind = 'classic'
  readonly #context: ShardContext
  readonly #life: GroupLifecycle
  readonly #topics = new TopicsOfMembers()

  constructor(context: ShardContext, groupId: string) {
    this.groupId = groupId
    this.#context = context
    this.#life = new GroupLifecycle(context, groupId)
  }

  get stateName(): string {
    return this.#life.state
  }

  get protocolType(): string {
    return this.#life.protocolType
  }

  get generation(): number {
    return this.#life.generation
  }

  get isEmpty(): boolean {
    return this.#life.members.size === 0
  }

  get emptySinceMs(): number | null {
    return this.#life.state === 'Empty' ? this.#life.stateSinceMs : null
  }

  /** About what it holds of its members, in bytes, without the overhead of objects. */
  get memoryBytes(): number {
    return this.#life.memoryBytes
  }

  /** As it is now, for the move to the consumer protocol. */
  get present(): ClassicPresent {
    return this.#life
  }

  /** Ids that were given out and are not used yet, and those of members that may know theirs from there alone. */
  *newcomerIds(): IterableIterator<string> {
    yield* this.#life.pendingIds
    for (const { id, isNew, instanceId } of this.#life.members) if (isNew && instanceId === null) yield id
  }

  /** Lets newcomers join with ids that they were given before the group became this one. @param timeoutMs - For so long. */
  expect(memberId: string, timeoutMs: number): void {
    this.#addPending(memberId, timeoutMs)
  }

  /** Applies a record of this group; the last one says all. Null: it is no longer in the log. */
  replay(value: CoordinatorRecordOf<'GroupMetadata'>['value']): void {
    this.#life.record = value
  }

  loaded(): void {
    this.#life.load()
  }

  close(error: ErrorName): void {
    this.#life.close(error)
  }

  tombstones(): CoordinatorRecord[] {
    return this.#life.record === null ? [] : [groupRecord(this.groupId, null)]
  }

  /** Has all members join again. @param reason - For the log. */
  rebalance(reason: string): void {
    this.#life.rebalance(reason)
  }

  // Requests

  /** JoinGroup: answered when the next generation begins, unless there is something else to say. */
  join(request: JoinGroupRequest, client: ClassicClient): Promise<JoinGroupResponse> {
    const { apiVersion } = client
    const { memberId, groupInstanceId } = request
    const refuse = (error: ErrorName, id = memberId) => Promise.resolve(joinFault(error, id, apiVersion))
    const life = this.#life
    if (life.state === 'Dead') return refuse(life.closedWith)
    const fault = findJoinFault(request, this.#context.config)
    if (fault !== null) return refuse(fault)

    const known = this.#findJoining(memberId, groupInstanceId)
    if (typeof known === 'string') return refuse(known)
    const claim = claimOf(request, client)
    if (!this.#hasRoom(known, memberId) || !this.#room(request.protocolType).fits(known, request, claim)) {
      const message = 'A member was refused: the group is as large as allowed'
      this.#context.logger.info(message, { groupId: this.groupId, memberId, size: life.members.size })
      if (known !== null) life.remove(known, 'the group has more members than allowed')
      life.removePending(memberId)
      return refuse('GROUP_MAX_SIZE_REACHED', '')
    }
    if (!this.#canSpeak(request)) return refuse('INCONSISTENT_GROUP_PROTOCOL')

    if (known === null) {
      const id = memberId === '' ? this.#newId(groupInstanceId ?? client.clientId) : memberId
      if (memberId === '' && groupInstanceId === null && apiVersion >= MEMBER_ID_REQUIRED_VERSION) {
        this.#addPending(id, claim.sessionTimeoutMs)
        return refuse('MEMBER_ID_REQUIRED', id)
      }
      const member = new ClassicMember(id, groupInstanceId, claim)
      return waitFor(apiVersion, (waiter) =>
        life.admit(member, request.protocolType, waiter, this.#why(request, `member ${id} joins`)),
      )
    }
    if (memberId === '') return this.#takeOver(known, claim, request, apiVersion)
    return this.#rejoin(known, claim, request, apiVersion)
  }

  /** SyncGroup: answered with the assignment once the leader has said it and it is committed. */
  sync(request: SyncGroupRequest, apiVersion: number): Promise<SyncGroupResponse> {
    const refuse = (error: ErrorName) => Promise.resolve(syncFault(error))
    const life = this.#life
    const member = this.#findSpeaker(request)
    if (typeof member === 'string') return refuse(member)
    if (request.generationId !== life.generation) return refuse('ILLEGAL_GENERATION')
    if (
      isOther(request.protocolType, life.protocolType) ||
      isOther(request.protocolName, life.protocolName)
    ) {
      return refuse('INCONSISTENT_GROUP_PROTOCOL')
    }
    switch (life.state) {
      case 'PreparingRebalance':
        return refuse('REBALANCE_IN_PROGRESS')
      case 'CompletingRebalance':
        if (
          member.id === life.members.leaderId &&
          !this.#room(life.protocolType).canHold(request.assignments)
        ) {
          this.#context.logger.warn('An assignment does not fit the log', { groupId: this.groupId })
          return refuse('INVALID_REQUEST')
        }
        return waitFor(apiVersion, (waiter) => life.awaitAssignment(member, waiter, request.assignments))
      case 'Stable':
        life.settleSync(member)
        life.touch(member)
        return this.#whenCommitted(assignmentAnswer(life, member), syncFault)
      case 'Empty':
      case 'Dead':
        return refuse('UNKNOWN_MEMBER_ID')
    }
  }

  /** Heartbeat: keeps the session, and tells a member of a group that rebalances to join again. */
  heartbeat(request: HeartbeatRequest): Promise<HeartbeatResponse> {
    const life = this.#life
    const member = this.#findSpeaker(request)
    if (typeof member === 'string') return Promise.resolve(heartbeatAnswer(member))
    if (request.generationId !== life.generation) {
      return Promise.resolve(heartbeatAnswer('ILLEGAL_GENERATION'))
    }
    life.touch(member)
    const error = life.state === 'PreparingRebalance' ? 'REBALANCE_IN_PROGRESS' : 'NONE'
    return this.#whenCommitted(heartbeatAnswer(error), heartbeatAnswer)
  }

  /** LeaveGroup: takes each member out that can be found; the others rebalance once for all of them. */
  leave(request: LeaveGroupRequest, apiVersion: number): Promise<LeaveGroupResponse> {
    const life = this.#life
    if (life.state === 'Dead') return Promise.resolve(leaveAnswer(life.closedWith, []))
    const isMany = apiVersion >= LEAVE_MANY_VERSION
    const leaving = isMany
      ? request.members
      : [{ memberId: request.memberId, groupInstanceId: null, reason: null }]
    const gone = new Set<ClassicMember>()
    const answers = leaving.map(({ memberId, groupInstanceId, reason }) => {
      const error = this.#findLeaving(memberId, groupInstanceId, gone)
      if (error === 'NONE') {
        const because = brief(reason)
        this.#context.logger.info('A member leaves', {
          groupId: this.groupId,
          memberId,
          groupInstanceId,
          because,
        })
      }
      return { memberId, groupInstanceId, errorCode: errorCode(error), error }
    })
    life.removeAll([...gone], `${gone.size} members leave`)
    const first = answers[0]
    const answer = isMany
      ? leaveAnswer(
          'NONE',
          answers.map(({ memberId, groupInstanceId, errorCode: code }) => ({
            memberId,
            groupInstanceId,
            errorCode: code,
          })),
        )
      : leaveAnswer(first?.error ?? 'NONE', [])
    return this.#whenCommitted(answer, (error) => leaveAnswer(error, []))
  }

  /** As it is now; to be told after what was written so far is committed. */
  describe(): ClassicDescription {
    const { state, members, protocolType, protocolName } = this.#life
    const isStable = state === 'Stable'
    return {
      errorCode: 0,
      errorMessage: null,
      groupId: this.groupId,
      groupState: state,
      protocolType,
      protocolData: isStable ? (protocolName ?? '') : '',
      members: Array.from(members, (member) => ({
        memberId: member.id,
        groupInstanceId: member.instanceId,
        clientId: member.claim.clientId,
        clientHost: member.claim.clientHost,
        memberMetadata: isStable ? member.metadata(protocolName) : NOTHING_ASSIGNED,
        memberAssignment: isStable ? member.assignment : NOTHING_ASSIGNED,
      })),
    }
  }

  // Offsets

  isSubscribedTo(topic: string): boolean {
    return this.#topics.has(this.#life, topic)
  }

  findCommitFault(member: CommittingMember, _apiVersion: number, isTransactional: boolean): ErrorName | null {
    const life = this.#life
    if (life.state === 'Dead') return life.closedWith
    const { memberId, groupInstanceId, generationIdOrMemberEpoch: generation } = member
    // Tools, and consumers that assign partitions to themselves: as long as no member can mind.
    if (generation < 0 && life.state === 'Empty') return null
    if (generation >= 0 || memberId !== '' || groupInstanceId !== null) {
      const found = life.members.identify(memberId, groupInstanceId)
      if (typeof found === 'string') return found
      if (generation !== life.generation) return 'ILLEGAL_GENERATION'
    } else if (!isTransactional) return 'UNKNOWN_MEMBER_ID' // Old versions of TxnOffsetCommit cannot name a member.
    // Told a generation, and not yet what it has in it: it cannot have read anything.
    return life.state === 'CompletingRebalance' && !isTransactional ? 'REBALANCE_IN_PROGRESS' : null
  }

  findFetchFault(): ErrorName | null {
    return this.#life.state === 'Dead' ? this.#life.closedWith : null
  }

  findDeleteFault(): ErrorName | null {
    const { state, closedWith } = this.#life
    if (state === 'Dead') return closedWith
    return state === 'Empty' ? null : 'NON_EMPTY_GROUP'
  }

  /** A member that commits is alive, heartbeat or not. */
  keepAlive(memberId: string): void {
    const member = this.#life.members.find(memberId)
    if (member !== undefined) this.#life.touch(member)
  }

  // Joining

  /** The member that joins again, null for a newcomer (who may have been given its id), or why it cannot be either. */
  #findJoining(memberId: string, instanceId: string | null): ClassicMember | null | ErrorName {
    const { members, pendingIds } = this.#life
    if (memberId === '') return instanceId === null ? null : (members.findStatic(instanceId) ?? null)
    if (instanceId === null && pendingIds.has(memberId)) return null
    return members.identify(memberId, instanceId)
  }

  /**
   * Whether the group may have this member, beside those that keep their place whatever happens: in a round those that have
   * joined it, else all members. So the last ones to rejoin go when the limit was lowered. Ids that were given out count
   * against newcomers, or a limit could be passed by asking for many at once.
   */
  #hasRoom(known: ClassicMember | null, memberId: string): boolean {
    const { state, members, pendingIds } = this.#life
    const isJoining = state === 'PreparingRebalance'
    if (known !== null && (!isJoining || known.join !== null)) return true
    const taken = isJoining ? members.awaitingJoinCount : members.size
    const promised = known !== null ? 0 : pendingIds.size - (pendingIds.has(memberId) ? 1 : 0)
    return taken + promised < this.#context.config.groupSizeMax
  }

  #room(protocolType: string): RecordRoom {
    return new RecordRoom(this.#life.members, this.groupId, protocolType, this.#context.batchBytesMax())
  }

  #canSpeak({ protocolType, protocols }: JoinGroupRequest): boolean {
    const { members } = this.#life
    if (members.size === 0) return true
    const names = new Map(protocols.map(({ name }) => [name, null]))
    return protocolType === this.#life.protocolType && members.supportsAny(names)
  }

  #newId(prefix: string): string {
    return newMemberId(prefix, this.#context.random)
  }

  #addPending(memberId: string, timeoutMs: number): void {
    const { pendingIds } = this.#life
    if (pendingIds.size >= PENDING_MEMBERS_MAX) {
      for (const oldest of pendingIds) {
        this.#life.removePending(oldest)
        break
      }
    }
    this.#life.addPending(memberId, timeoutMs)
  }

  /** A member that has its id joins again: for the round, because it wants something else, or since it missed the answer. */
  #rejoin(
    member: ClassicMember,
    claim: MemberClaim,
    request: JoinGroupRequest,
    apiVersion: number,
  ): Promise<JoinGroupResponse> {
    const life = this.#life
    const isSame = hasSameProtocols(member.claim, claim)
    // A leader that joins again while all is stable wants to assign anew: topics have changed, for one.
    const wantsNothing =
      isSame &&
      member.join === null &&
      (life.state === 'CompletingRebalance' ||
        (life.state === 'Stable' && member.id !== life.members.leaderId))
    if (wantsNothing) {
      life.touch(member)
      return this.#whenCommitted(generationAnswer(life, member), (error) =>
        joinFault(error, member.id, apiVersion),
      )
    }
    const isWaiting = isSame && life.state === 'PreparingRebalance' && member.join !== null
    life.members.update(member, claim)
    return waitFor(apiVersion, (waiter) => {
      if (isWaiting) life.replaceJoin(member, waiter)
      else life.awaitNext(member, waiter, this.#why(request, `member ${member.id} joins again`))
    })
  }

  /**
   * A static member comes back without its id (KIP-345). A stable group goes on if nothing changes for the others; the process
   * then gets the assignment that its place has. Otherwise, and always when the leader may be at work on an assignment for the
   * old id, all join again.
   */
  #takeOver(
    member: ClassicMember,
    claim: MemberClaim,
    request: JoinGroupRequest,
    apiVersion: number,
  ): Promise<JoinGroupResponse> {
    const life = this.#life
    const { members, protocolName } = life
    const oldId = member.id
    const oldLeaderId = members.leaderId
    const oldMetadata = member.metadata(protocolName)
    const id = this.#newId(request.groupInstanceId ?? '')
    this.#context.logger.info('A static member is taken over', { groupId: this.groupId, oldId, id })
    life.takeOver(member, id)
    members.update(member, claim)
    const goesOn =
      life.state === 'Stable' &&
      members.selectProtocol() === protocolName &&
      isSameSubscription(life.protocolType, oldMetadata, member.metadata(protocolName))
    return waitFor(apiVersion, (waiter) => {
      if (!goesOn) {
        life.awaitNext(member, waiter, this.#why(request, `static member ${id} came back`))
        return
      }
      const answer = generationAnswer(life, member)
      const canSkip = apiVersion >= SKIP_ASSIGNMENT_VERSION && id === members.leaderId
      // An old client that leads is told the leader's former id, or it would assign for a generation that is assigned.
      life.answerTakeOver(
        member,
        waiter,
        canSkip ? { ...answer, skipAssignment: true } : { ...answer, leader: oldLeaderId ?? '', members: [] },
      )
    })
  }

  // Helpers

  /** The member that sends a sync or a heartbeat, or why it may not. */
  #findSpeaker(request: { memberId: string; groupInstanceId: string | null }): ClassicMember | ErrorName {
    const { state, closedWith, members } = this.#life
    return state === 'Dead' ? closedWith : members.identify(request.memberId, request.groupInstanceId)
  }

  /** Finds who leaves and puts it into `gone`, or forgets its pending id. */
  #findLeaving(memberId: string, instanceId: string | null, gone: Set<ClassicMember>): ErrorName {
    const { members, pendingIds } = this.#life
    if (instanceId === null && pendingIds.has(memberId)) {
      this.#life.removePending(memberId)
      return 'NONE'
    }
    const found =
      memberId === '' && instanceId !== null
        ? (members.findStatic(instanceId) ?? 'UNKNOWN_MEMBER_ID')
        : members.identify(memberId, instanceId)
    if (typeof found === 'string') return found
    if (gone.has(found)) return 'UNKNOWN_MEMBER_ID'
    gone.add(found)
    return 'NONE'
  }

  #why({ reason }: JoinGroupRequest, event: string): string {
    return reason === null || reason === '' ? event : `${event}: ${brief(reason)}`
  }

  /** Gives the answer when what was written before is committed, or the error that says why that is not known. */
  async #whenCommitted<Response>(answer: Response, fail: (error: ErrorName) => Response): Promise<Response> {
    try {
      await this.#context.write([])
      return answer
    } catch (failure) {
      if (failure instanceof CoordinatorFailure) return fail(failure.error)
      throw failure
    }
  }
}

/** A promise for the answer that the waiter is given. */
function waitFor<Response>(apiVersion: number, begin: (waiter: Waiter<Response>) => void): Promise<Response> {
  return new Promise((resolve) => begin({ apiVersion, answer: resolve }))
}

function brief(reason: string | null): string | null {
  return reason === null ? null : reason.slice(0, REASON_CHARACTERS_MAX)
}
