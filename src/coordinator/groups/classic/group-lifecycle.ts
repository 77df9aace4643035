/**
 * The life of a classic group from generation to generation: its state, the rounds in which members join and are assigned,
 * what is written of them, and the time-outs. What a request means in which state is classic-group.ts's.
 *
 *                 join                    all joined, or time is up;           the leader's assignment
 *                                         the new generation is committed      is committed
 *      Empty ───────────► PreparingRebalance ───────────► CompletingRebalance ───────────► Stable
 *        ▲                   │          ▲                        │                            │
 *        └───────────────────┘          └────────────────────────┴────────────────────────────┘
 *          nobody is left                 a member joins, leaves, dies, or wants something else
 *
 * Two things are written of a generation: that it begins, before any join is answered, and what its members are assigned,
 * before any sync is. The first record has no leader. Kafka does not write it, so that after a fail-over there the next
 * generation has a number that some members have been told already, for another set of members; here numbers never go back
 * or mean two things (docs/faults.md G1, G3). A coordinator that loads such a record asks everybody to join again.
 *
 * Invariants:
 * - A generation, an assignment and an emptied group are told only when they are committed in this leader epoch.
 * - `state` is PreparingRebalance while `#begin` writes; whoever joins, changes or goes meanwhile makes it begin once more.
 * - A member that waits (join or sync) is answered when its round ends, whichever way, when it goes, and by `close`.
 * - Only members that were told the generation owe a sync; who owes one past the rebalance time-out is removed.
 * - Members wait for the join of others only while `#joinTimer` or a write is there to end it.
 *
 * Soft state only, but for `record`, which is the fold of the log: the last record says all. The live state is built from it
 * by `load`, and written from then on.
 *
 * @see KIP-62 (session and rebalance time-outs), KIP-134 (initial delay), KIP-345 (static members), KIP-814.
 */
import type { ErrorName } from '../../../protocol/errors.ts'
import type { JoinGroupResponse } from '../../../protocol/messages/join-group.ts'
import type { SyncGroupRequest } from '../../../protocol/messages/sync-group.ts'
import type { ShardContext } from '../../shard-context.ts'
import { assignmentAnswer, generationAnswer } from './answers.ts'
import { NOTHING_ASSIGNED } from './classic-member.ts'
import type { ClassicMember, Waiter } from './classic-member.ts'
import { memberOf } from './group-record.ts'
import type { GroupRecordValue, GroupSnapshot } from './group-record.ts'
import { writeGroup } from './group-writer.ts'
import { InitialDelay } from './initial-delay.ts'
import { MemberSessions } from './member-sessions.ts'
import { MemberTable } from './member-table.ts'
import { RoundTimer } from './round-timer.ts'
import { TakeOvers } from './take-overs.ts'

export type ClassicState = 'Empty' | 'PreparingRebalance' | 'CompletingRebalance' | 'Stable' | 'Dead'

/**
 * How long the join of a newcomer may wait, in ms: it may not know its id, so it cannot send heartbeats, and if it has gone
 * and come back it is here twice. Kafka's number.
 */
export const NEW_MEMBER_JOIN_TIMEOUT_MS = 300_000

/** Shortest round, in ms: a member may ask for none, and a round that nobody can end in time would be begun for ever. */
const ROUND_MS_MIN = 1_000

/** Longest wait for more members after a generation that was out of date when written, in ms. */
const BEGIN_DELAY_MS_MAX = 1_000

/** Generations are int32; after the last one it begins anew, once in the two thousand million rebalances of a group. */
const GENERATION_MAX = 2 ** 31 - 1

export class GroupLifecycle {
  readonly groupId: string
  readonly members = new MemberTable()
  /** Dynamic members that were given an id and have not come back with it yet (KIP-394), in the order of their age. */
  readonly pendingIds = new Set<string>()
  /** The last record of the group in the log, or on its way into it; null when there is none. */
  record: GroupRecordValue | null = null
  state: ClassicState = 'Empty'
  /** Wall clock, ms; null when nobody wrote down when the group came into this state. */
  stateSinceMs: number | null = null
  /** The last one that members were told of; 0 before the first. */
  generation = 0
  /** Empty until the first member comes. */
  protocolType = ''
  /** Of the generation; null before the first and without members. */
  protocolName: string | null = null
  /** What those who come after `close` are told. */
  closedWith: ErrorName = 'COORDINATOR_NOT_AVAILABLE'

  /** Counts what changes the members or what they want, which makes a generation that is being written out of date. */
  changeCount = 0

  readonly #context: ShardContext
  readonly #sessions: MemberSessions
  /** The last number taken for a generation, told or not. Only changed here. */
  numberTaken = 0
  /** The next generation is being written, or is about to be again. */
  #isBeginning = false
  /** Generations of this round that were out of date when they were written. */
  #missCount = 0
  #joinDeadlineMs = 0
  readonly #joinTimer: RoundTimer
  /** Of the first round after Empty. */
  readonly #initialDelay: InitialDelay
  /** Who was told the generation and has not asked for its assignment. */
  readonly #owingSync = new Set<string>()
  readonly #syncTimer: RoundTimer
  #isAssigning = false
  #assignedBytes = 0
  readonly #takeOvers: TakeOvers

  constructor(context: ShardContext, groupId: string) {
    this.#context = context
    this.groupId = groupId
    this.#sessions = new MemberSessions(context.clock, this.members, (memberId) => this.#expire(memberId))
    this.#joinTimer = new RoundTimer(context.clock)
    this.#initialDelay = new InitialDelay(this.#joinTimer)
    this.#syncTimer = new RoundTimer(context.clock)
    this.#takeOvers = new TakeOvers(context, this, this.#sessions)
  }

  /** Builds the live state from the record that the log ended with. */
  load(): void {
    const { record } = this
    if (record === null) return
    this.generation = record.generation
    this.numberTaken = record.generation
    this.protocolType = record.protocolType
    this.protocolName = record.protocol
    for (const stored of record.members) {
      const member = memberOf(stored, record.protocol)
      this.members.add(member)
      this.#sessions.start(member)
    }
    this.members.leaderId =
      record.leader !== null && this.members.find(record.leader) !== undefined ? record.leader : null
    const isAssigned = this.members.size === 0 || record.leader !== null
    this.state = this.members.size === 0 ? 'Empty' : 'Stable'
    this.stateSinceMs = record.currentStateTimestamp < 0 ? null : record.currentStateTimestamp
    if (!isAssigned) this.rebalance('the coordinator was loaded before the generation was assigned')
    else if (this.members.size > this.#context.config.groupSizeMax) {
      this.rebalance('the group that was loaded has more members than allowed')
    }
  }

  /** Ends everything; all who wait are answered. Nothing is called afterwards, but writes may still come back. */
  close(error: ErrorName): void {
    if (this.state === 'Dead') return
    this.#enter('Dead')
    this.closedWith = error
    this.#joinTimer.stop()
    this.#stopSyncRound()
    this.#takeOvers.clear()
    this.pendingIds.clear()
    for (const member of [...this.members]) {
      this.#sessions.failJoin(member, error)
      this.#sessions.failSync(member, error)
      this.members.remove(member)
    }
    this.#sessions.clear()
  }

  /** Keeps an id for a newcomer for so long. */
  addPending(memberId: string, timeoutMs: number): void {
    this.pendingIds.add(memberId)
    this.#sessions.startFor(memberId, timeoutMs)
  }

  /** Forgets a pending id, for whose join a round may have waited. */
  removePending(memberId: string): void {
    if (!this.pendingIds.delete(memberId)) return
    this.#sessions.drop(memberId)
    this.#completeIfAllJoined()
  }

  /** Takes in a newcomer and lets it wait for the next generation. */
  admit(
    member: ClassicMember,
    protocolType: string,
    waiter: Waiter<JoinGroupResponse>,
    reason: string,
  ): void {
    if (this.members.size === 0) this.protocolType = protocolType
    this.pendingIds.delete(member.id)
    this.members.add(member)
    this.#initialDelay.noteNewcomer()
    this.awaitNext(member, waiter, reason)
  }

  /** Lets a member, whose claim may have changed, wait for the next generation; begins a round if none is under way. */
  awaitNext(member: ClassicMember, waiter: Waiter<JoinGroupResponse>, reason: string): void {
    this.changeCount++
    this.replaceJoin(member, waiter)
    this.rebalance(reason)
  }

  /** Makes the join wait in place of an earlier one, whose sender has given up: an answer to it would only be late. */
  replaceJoin(member: ClassicMember, waiter: Waiter<JoinGroupResponse>): void {
    const { isNew } = member
    this.#sessions.failJoin(member, 'REBALANCE_IN_PROGRESS')
    this.members.awaitJoin(member, waiter)
    member.isNew = isNew
    if (isNew) this.#sessions.startFor(member.id, NEW_MEMBER_JOIN_TIMEOUT_MS)
  }

  /** Gives the place of a static member to another process; the one that had it is told so, if it waits (KIP-345). */
  takeOver(member: ClassicMember, newId: string): void {
    const oldId = member.id
    this.#sessions.failJoin(member, 'FENCED_INSTANCE_ID')
    this.#sessions.failSync(member, 'FENCED_INSTANCE_ID')
    this.#takeOvers.forget(member)
    this.changeCount++
    this.members.rename(member, newId)
    this.#sessions.drop(oldId)
    this.#sessions.start(member)
    if (this.#owingSync.delete(oldId)) this.#owingSync.add(newId)
  }

  /** Answers with `answer` when it is written that a stable group has the member under another id. */
  answerTakeOver(member: ClassicMember, waiter: Waiter<JoinGroupResponse>, answer: JoinGroupResponse): void {
    this.replaceJoin(member, waiter)
    this.#takeOvers.add(member, answer)
  }

  /** Removes a member, and begins or completes a round for the others. */
  remove(member: ClassicMember, reason: string): void {
    this.removeAll([member], reason)
  }

  /** Removes members, and begins or completes one round for the others. */
  removeAll(members: readonly ClassicMember[], reason: string): void {
    for (const member of members) this.#drop(member)
    if (members.length > 0) this.rebalance(reason)
  }

  /** Begins a round; if one is under way, looks whether it is complete. */
  rebalance(reason: string): void {
    switch (this.state) {
      case 'Empty':
      case 'CompletingRebalance':
      case 'Stable':
        this.#prepare(reason)
        break
      case 'PreparingRebalance':
        this.#completeIfAllJoined()
        break
      case 'Dead':
        break
    }
  }

  /** Starts the session of a member anew: it was heard of. */
  touch(member: ClassicMember): void {
    // A newcomer has no session before its join is answered, and must not cut its own time short.
    if (!member.isNew) this.#sessions.start(member)
  }

  /** Notes that a member asked for its assignment. */
  settleSync(member: ClassicMember): void {
    if (this.#owingSync.delete(member.id) && this.#owingSync.size === 0) this.#stopSyncRound()
  }

  /** In CompletingRebalance: lets the sync wait for the assignment; the leader's says it. */
  awaitAssignment(
    member: ClassicMember,
    waiter: NonNullable<ClassicMember['sync']>,
    said: SyncGroupRequest['assignments'],
  ) {
    this.#sessions.failSync(member, 'REBALANCE_IN_PROGRESS')
    member.sync = waiter
    this.settleSync(member)
    if (member.id === this.members.leaderId && !this.#isAssigning) this.#assign(said)
  }

  /** About what the group takes, in bytes, without the overhead of objects. */
  get memoryBytes(): number {
    return this.members.claimBytes + this.#assignedBytes
  }

  // Joining

  #prepare(reason: string): void {
    const wasEmpty = this.state === 'Empty'
    const { groupId, generation, members } = this
    this.#context.logger.info('Rebalance of a group begins', {
      groupId,
      generation,
      members: members.size,
      reason,
    })
    if (this.state === 'CompletingRebalance') {
      for (const member of members) this.#sessions.failSync(member, 'REBALANCE_IN_PROGRESS')
    }
    this.#stopSyncRound()
    // Their joins wait; from here on they are members that have joined the round.
    this.#takeOvers.clear()
    this.#missCount = 0
    this.#enter('PreparingRebalance')
    if (!wasEmpty) {
      this.#awaitJoins()
      return
    }
    this.#setJoinDeadline()
    const delayMs = this.#context.config.initialRebalanceDelayMs
    this.#initialDelay.start(delayMs, members.rebalanceTimeoutMs(), () => this.#complete())
  }

  /** Gives the members the rebalance time-out from now on. */
  #awaitJoins(): void {
    this.#setJoinDeadline()
    this.#joinTimer.start(this.#roundMs(), () => this.#complete())
    this.#completeIfAllJoined()
  }

  /** How long a round may take: as long as the member that wants most, in ms. */
  #roundMs(): number {
    return Math.max(ROUND_MS_MIN, this.members.rebalanceTimeoutMs())
  }

  #setJoinDeadline(): void {
    this.#joinDeadlineMs = this.#context.clock.monotonicMs() + this.#roundMs()
  }

  get #haveAllJoined(): boolean {
    return this.members.awaitingJoinCount === this.members.size && this.pendingIds.size === 0
  }

  #completeIfAllJoined(): void {
    if (this.state !== 'PreparingRebalance' || this.#initialDelay.isRunning || this.#isBeginning) return
    if (this.#haveAllJoined) this.#complete()
  }

  /** Ends the joining: who has not joined goes, but for static members, which have their session's time to come back. */
  #complete(): void {
    this.#joinTimer.stop()
    for (const member of [...this.members]) {
      if (member.join !== null || member.instanceId !== null) continue
      this.#context.logger.info('A member did not rejoin in time', {
        groupId: this.groupId,
        memberId: member.id,
      })
      this.#drop(member)
    }
    if (this.members.size === 0) this.#becomeEmpty()
    else if (this.members.electLeader()) this.#begin()
    else this.#awaitJoins() // Static members alone are left, and none of them is here to lead.
  }

  #becomeEmpty(): void {
    this.generation = this.#takeNumber()
    this.protocolName = null
    this.#enter('Empty')
    // If it fails, nobody waits for it: members that the log still has go when their sessions end after a fail-over.
    const assigned = () => NOTHING_ASSIGNED
    this.#write(
      { generation: this.generation, protocolName: null, leaderId: null, assigned },
      () => undefined,
    )
  }

  /** Writes the next generation down, so that no other can have its number, and announces it. */
  #begin(): void {
    const generation = this.#takeNumber()
    const protocolName = this.members.selectProtocol()
    const changeCount = this.changeCount
    this.#isBeginning = true
    const assigned = () => NOTHING_ASSIGNED
    this.#write({ generation, protocolName, leaderId: null, assigned }, (error) => {
      if (this.state !== 'PreparingRebalance') return
      this.#isBeginning = false
      if (error !== null) {
        for (const member of this.members) this.#sessions.failJoin(member, error)
        this.#awaitJoins()
      } else if (changeCount === this.changeCount) this.#announce(generation, protocolName)
      else this.#beginLater()
    })
  }

  /**
   * Somebody came, changed or went while the generation was written, so it was of the past before it was told. Each miss of a
   * round waits twice as long for more of them before it writes again: a storm of joins costs as many records as its
   * length has binary digits, not one for each join (CG-10), and takes at most twice its time.
   */
  #beginLater(): void {
    this.#isBeginning = true
    const delayMs = Math.min(2 ** this.#missCount++, BEGIN_DELAY_MS_MAX)
    this.#joinTimer.start(delayMs, () => {
      this.#isBeginning = false
      const leftMs = this.#joinDeadlineMs - this.#context.clock.monotonicMs()
      if (this.#haveAllJoined || leftMs <= 0) this.#complete()
      else this.#joinTimer.start(leftMs, () => this.#complete())
    })
  }

  #announce(generation: number, protocolName: string): void {
    const { groupId, members } = this
    this.generation = generation
    this.protocolName = protocolName
    this.#isAssigning = false
    this.#enter('CompletingRebalance')
    this.#context.logger.info('Generation of a group begins', {
      groupId,
      generation,
      members: members.size,
      protocolName,
    })
    for (const member of members) {
      member.assignment = NOTHING_ASSIGNED
      if (member.join === null) continue // Static and away: it keeps its session's time, and owes nothing.
      this.#owingSync.add(member.id)
      this.#sessions.answerJoin(member, generationAnswer(this, member))
    }
    this.#syncTimer.start(this.#roundMs(), () => this.#expireSyncs())
  }

  // Assigning

  /** Writes what the leader assigned, then answers the syncs. Members it left out get nothing; names it invented are ignored. */
  #assign(said: SyncGroupRequest['assignments']): void {
    const { generation, protocolName, members } = this
    const assignments = new Map<string, Uint8Array>()
    for (const { memberId, assignment } of said) {
      // Copied, since the bytes are a view of a frame that may be far larger.
      if (members.find(memberId) !== undefined) assignments.set(memberId, assignment.slice())
    }
    const assigned = ({ id }: ClassicMember) => assignments.get(id) ?? NOTHING_ASSIGNED
    this.#isAssigning = true
    this.#write({ generation, protocolName, leaderId: members.leaderId, assigned }, (error) => {
      if (this.state !== 'CompletingRebalance' || this.generation !== generation) return
      this.#isAssigning = false
      if (error !== null) {
        for (const member of members) this.#sessions.failSync(member, error)
        this.rebalance(`the assignment could not be written: ${error}`)
        return
      }
      this.#enter('Stable')
      this.#assignedBytes = 0
      for (const member of members) {
        member.assignment = assigned(member)
        this.#assignedBytes += member.assignment.length
        this.#sessions.answerSync(member, assignmentAnswer(this, member))
      }
    })
  }

  /** Those who were told the generation and never asked what they have are taken for dead. */
  #expireSyncs(): void {
    const late = Array.from(this.#owingSync, (id) => this.members.find(id)).filter(
      (member) => member !== undefined,
    )
    this.removeAll(late, `${late.length} members did not ask for their assignment in time`)
  }

  #stopSyncRound(): void {
    this.#syncTimer.stop()
    this.#owingSync.clear()
  }

  // Members and their answers

  /** The deadline of a member or of a pending id has come. */
  #expire(memberId: string): void {
    const { groupId } = this
    if (this.pendingIds.has(memberId)) {
      this.#context.logger.info('A member did not come back with its id', { groupId, memberId })
      this.removePending(memberId)
      return
    }
    const member = this.members.find(memberId)
    if (member === undefined) return
    // Who waits is silent because of us. Its session starts anew with the answer; a newcomer's join has had its time.
    if (member.isWaiting && !member.isNew) return
    this.#context.logger.info('The session of a member has ended', { groupId, memberId })
    this.remove(member, `the session of member ${memberId} has ended`)
  }

  /** Takes a member out. What it waits for is answered in a way that lets it join as a new one, should it be alive. */
  #drop(member: ClassicMember): void {
    this.changeCount++
    this.#sessions.failJoin(member, 'UNKNOWN_MEMBER_ID')
    this.#sessions.failSync(member, 'UNKNOWN_MEMBER_ID')
    this.#takeOvers.forget(member)
    this.#owingSync.delete(member.id)
    this.#sessions.drop(member.id)
    this.members.remove(member)
  }

  // Timers, numbers and records

  #enter(state: ClassicState): void {
    this.state = state
    this.stateSinceMs = this.#context.clock.wallTimeMs()
  }

  #takeNumber(): number {
    this.numberTaken = this.numberTaken === GENERATION_MAX ? 1 : this.numberTaken + 1
    return this.numberTaken
  }

  /** Writes the group as it is, but for what `change` says; `done` is as in group-writer.ts. */
  #write(change: RecordChange, done: (error: ErrorName | null) => void): void {
    const { protocolType, members } = this
    const stateSinceMs = this.#context.clock.wallTimeMs()
    writeGroup(this.#context, this.groupId, { protocolType, members, stateSinceMs, ...change }, done)
  }
}

type RecordChange = Pick<GroupSnapshot, 'generation' | 'protocolName' | 'leaderId' | 'assigned'>
