/**
 * The state machine of one partition of `__consumer_offsets`, in one leader epoch: groups of both protocols and committed
 * offsets. One method for each request, about one group; requests about several are the handlers' to take apart.
 *
 * Invariants (docs/faults.md):
 * - State changes by `replay` alone, of the log and of what is written alike.
 * - G3: what a member asks for is refused unless it is one, in the present generation or epoch.
 * - G4, G5: an answer that tells of state, or that something was written, leaves when all that was written before it is committed.
 *   What merely refuses is told at once.
 *
 * Methods of members (join to leave, heartbeats) answer failures of the log themselves. All others reject with
 * CoordinatorFailure, whose `error` is for the whole request.
 *
 * A classic group that a member of the consumer protocol joins becomes one of that protocol, and goes back when the last such
 * member is gone, as `group.consumer.migration.policy` allows. In between its classic members are that group's. Offsets stay.
 */
import { errorCode } from '../../protocol/errors.ts'
import type { ErrorName } from '../../protocol/errors.ts'
import type { RequestOf, ResponseInputOf, ResponseOf } from '../../protocol/apis.ts'
import type { ImageDelta } from '../../metadata/image-delta.ts'
import type { CoordinatorRecord } from '../records/coordinator-record.ts'
import { mayUpgrade } from '../group-config.ts'
import type { ShardContext } from '../shard-context.ts'
import { heartbeatAnswer, joinFault, leaveAnswer, syncFault } from './classic/answers.ts'
import { findTopicChanges } from './consumer/target-assignment.ts'
import type { ConsumerGroup } from './consumer/consumer-group.ts'
import type { CommittingMember, Group } from './group.ts'
import { GroupRegistry } from './group-registry.ts'
import { Housekeeping, writeInPieces } from './housekeeping.ts'
import { OffsetStore } from './offset-store.ts'
import type { CommittedPlace, FetchedTopic, FetchTopic } from './offset-store.ts'
import { RetentionClock } from './retention-clock.ts'

/** Who sent a request. */
export interface GroupClient {
  /** Version of the request. */
  readonly apiVersion: number
  /** As it names itself; empty if it does not. */
  readonly clientId: string
  /** Its address, for descriptions. */
  readonly clientHost: string
}

/** What OffsetFetch asks of one group, in the form of v8. */
export interface OffsetQuery {
  readonly groupId: string
  /** Of a member of the consumer protocol, else null. */
  readonly memberId: string | null
  /** Of such a member, else -1. */
  readonly memberEpoch: number
  /** Null: all that the group has offsets of. */
  readonly topics: readonly FetchTopic[] | null
}

export type DescribedGroup = ResponseOf<'DescribeGroups'>['groups'][number]
export type DescribedConsumerGroup = ResponseInputOf<'ConsumerGroupDescribe'>['groups'][number]
export type ListedGroup = ResponseOf<'ListGroups'>['groups'][number]

/** First versions of OffsetCommit and OffsetFetch that name topics by id. */
const COMMIT_BY_ID_VERSION = 10
const FETCH_BY_ID_VERSION = 10
/** First version of OffsetCommit that may be told that there is no such group. */
const COMMIT_GROUP_NOT_FOUND_VERSION = 9
/** First version of DescribeGroups that is told so; earlier ones are told of a dead group. */
const DESCRIBE_GROUP_NOT_FOUND_VERSION = 6
/** First version of LeaveGroup in which several may leave at once (KIP-345). */
const LEAVE_MANY_VERSION = 3
/** In place of the operations that a client may do, when it did not ask which. */
const OPERATIONS_NOT_ASKED = -2_147_483_648
/** Epoch with which a member of the consumer protocol joins. */
const JOIN_EPOCH = 0

export class GroupShard {
  readonly #context: ShardContext
  readonly #groups: GroupRegistry
  readonly #offsets = new OffsetStore()
  readonly #time: RetentionClock
  readonly #housekeeping: Housekeeping

  constructor(context: ShardContext) {
    this.#context = context
    this.#groups = new GroupRegistry(context)
    this.#time = new RetentionClock(context.clock)
    this.#housekeeping = new Housekeeping(context, this.#groups, this.#offsets, this.#time)
  }

  replay(record: CoordinatorRecord): void {
    if (record.kind === 'OffsetCommit') this.#offsets.replay(record)
    else this.#groups.replay(record)
  }

  loaded(): void {
    this.#groups.loaded()
    this.#housekeeping.start()
  }

  close(error: ErrorName): void {
    this.#housekeeping.stop()
    this.#groups.close(error)
  }

  /** Topics were created, deleted or given more partitions. To be called with each change of the image, once it is in effect. */
  topicsChanged(delta: ImageDelta): void {
    const names = findTopicChanges(delta)
    if (names.size > 0) this.#groups.topicsChanged(names)
  }

  /** All groups as they stand, for metrics: changes that are not committed yet are among it. */
  *groups(): IterableIterator<Group> {
    for (const groupId of this.#groups.groupIds()) yield this.#groups.find(groupId)!
  }

  /** All committed offsets as they stand, for metrics, likewise. */
  committedOffsets(): IterableIterator<CommittedPlace> {
    return this.#offsets.places(this.#context.image())
  }

  // Members of the classic protocol

  /** Answered when the next generation begins, so perhaps after minutes. */
  async joinGroup(request: RequestOf<'JoinGroup'>, client: GroupClient): Promise<ResponseOf<'JoinGroup'>> {
    const { groupId, memberId } = request
    const refuse = (error: ErrorName): ResponseOf<'JoinGroup'> =>
      joinFault(error, memberId, client.apiVersion)
    if (groupId === '') return refuse('INVALID_GROUP_ID')
    const groups = this.#groups
    const consumer = groups.findConsumer(groupId)
    if (consumer?.isEmpty === false) {
      // Who is a member stays one, whatever the policy has become.
      const isMember = consumer.state.members.has(memberId)
      const mayJoin = isMember || this.#context.config.consumerMigrationPolicy !== 'disabled'
      if (!mayJoin) return refuse('INCONSISTENT_GROUP_PROTOCOL')
      const answer = consumer.classic.join(request, client)
      if (answer !== null) return answer
    }
    const isNew = groups.findClassic(groupId) === null
    // An id is given by a group: who has one takes this for a group that was here and is gone.
    if (isNew && memberId !== '') return refuse('UNKNOWN_MEMBER_ID')
    if (isNew && groups.isFull) return refuse(this.#reportFull(groupId))
    const answer = groups.obtainClassic(groupId).join(request, client)
    if (!isNew) return answer
    const { errorCode: code } = await answer
    const isRefused = code !== errorCode('NONE') && code !== errorCode('MEMBER_ID_REQUIRED')
    if (isRefused) groups.dropClassic(groupId)
    return answer
  }

  async syncGroup(request: RequestOf<'SyncGroup'>, client: GroupClient): Promise<ResponseOf<'SyncGroup'>> {
    if (request.groupId === '') return syncFault('INVALID_GROUP_ID')
    const consumer = this.#findConsumerWithMembers(request.groupId)
    if (consumer !== null) return consumer.classic.sync(request)
    const group = this.#groups.findClassic(request.groupId)
    return group === null ? syncFault('UNKNOWN_MEMBER_ID') : group.sync(request, client.apiVersion)
  }

  async heartbeat(request: RequestOf<'Heartbeat'>): Promise<ResponseOf<'Heartbeat'>> {
    if (request.groupId === '') return heartbeatAnswer('INVALID_GROUP_ID')
    const consumer = this.#findConsumerWithMembers(request.groupId)
    if (consumer !== null) return consumer.classic.heartbeat(request)
    const group = this.#groups.findClassic(request.groupId)
    return group === null ? heartbeatAnswer('UNKNOWN_MEMBER_ID') : group.heartbeat(request)
  }

  async leaveGroup(request: RequestOf<'LeaveGroup'>, client: GroupClient): Promise<ResponseOf<'LeaveGroup'>> {
    if (request.groupId === '') return leaveAnswer('INVALID_GROUP_ID', [])
    const consumer = this.#findConsumerWithMembers(request.groupId)
    if (consumer !== null) return consumer.classic.leave(request, client.apiVersion)
    const group = this.#groups.findClassic(request.groupId)
    if (group !== null) return group.leave(request, client.apiVersion)
    if (client.apiVersion < LEAVE_MANY_VERSION) return leaveAnswer('UNKNOWN_MEMBER_ID', [])
    const code = errorCode('UNKNOWN_MEMBER_ID')
    return leaveAnswer(
      'NONE',
      request.members.map(({ memberId, groupInstanceId }) => ({
        memberId,
        groupInstanceId,
        errorCode: code,
      })),
    )
  }

  // Members of the consumer protocol

  async consumerGroupHeartbeat(
    request: RequestOf<'ConsumerGroupHeartbeat'>,
    client: GroupClient,
  ): Promise<ResponseInputOf<'ConsumerGroupHeartbeat'>> {
    const { groupId, memberEpoch } = request
    const groups = this.#groups
    const isNew = groups.findConsumer(groupId) === null
    if (isNew && memberEpoch !== JOIN_EPOCH) {
      return consumerFault('GROUP_ID_NOT_FOUND', 'Sent a heartbeat: there is no such consumer group')
    }
    if (memberEpoch === JOIN_EPOCH && groups.findClassic(groupId)?.isEmpty === false) {
      return this.#upgrade(request, client)
    }
    if (isNew && groups.isFull)
      return consumerFault(this.#reportFull(groupId), 'Joined a group: there are too many')
    const answer = groups.obtainConsumer(groupId).heartbeat(request, client)
    // What a heartbeat writes is replayed within the call: the log says nothing of a group whose first member was refused.
    groups.dropConsumer(groupId)
    return answer
  }

  /** A join by which a classic group becomes one of the consumer protocol, in one batch. */
  #upgrade(
    request: RequestOf<'ConsumerGroupHeartbeat'>,
    client: GroupClient,
  ): Promise<ResponseInputOf<'ConsumerGroupHeartbeat'>> {
    const { groupId } = request
    const groups = this.#groups
    const refuse = (why: string) => {
      const message = `Joined a group: its members speak the classic protocol, and ${why}`
      return Promise.resolve(consumerFault('GROUP_ID_NOT_FOUND', message))
    }
    if (!mayUpgrade(this.#context.config)) return refuse('only when they have left it can be joined')
    const records = groups.upgradeRecords(groupId)
    if (typeof records === 'string') return refuse(records)
    const consumer = groups.obtainConsumer(groupId)
    const answer = consumer.heartbeat(request, client, records)
    // What a heartbeat writes is replayed within the call.
    if (consumer.isEmpty) groups.dropConsumer(groupId)
    else groups.endClassic(groupId)
    return answer
  }

  async consumerGroupDescribe(groupId: string): Promise<DescribedConsumerGroup> {
    const group = this.#groups.find(groupId)
    const described =
      group?.kind === 'consumer'
        ? group.describe()
        : {
            ...{ groupId, groupState: '', groupEpoch: 0, assignmentEpoch: 0, assignorName: '', members: [] },
            errorCode: errorCode('GROUP_ID_NOT_FOUND'),
            errorMessage: 'Described a group: there is no such consumer group',
          }
    await this.#context.write([])
    return described
  }

  // Offsets

  async offsetCommit(
    request: RequestOf<'OffsetCommit'>,
    client: GroupClient,
  ): Promise<ResponseOf<'OffsetCommit'>> {
    const { groupId, memberId, groupInstanceId, generationIdOrMemberEpoch, topics } = request
    const { apiVersion } = client
    const member = { memberId, groupInstanceId, generationIdOrMemberEpoch }
    const fault = this.#findCommitFault(groupId, member, apiVersion)
    if (fault !== null) {
      const code = errorCode(fault)
      const refused = topics.map(({ name, topicId, partitions }) => ({
        ...{ name, topicId },
        partitions: partitions.map(({ partitionIndex }) => ({ partitionIndex, errorCode: code })),
      }))
      return { throttleTimeMs: 0, topics: refused }
    }
    this.#groups.find(groupId)?.keepAlive(memberId)
    const { records, topics: committed } = this.#offsets.commit(groupId, topics, {
      image: this.#context.image(),
      byId: apiVersion >= COMMIT_BY_ID_VERSION,
      metadataBytesMax: this.#context.config.offsetMetadataBytesMax,
      nowMs: this.#time.stampMs(),
    })
    await this.#context.write(records)
    return { throttleTimeMs: 0, topics: committed }
  }

  /**
   * Whether offsets must be stable (v7) makes no difference: nothing here commits offsets that may yet be taken back.
   *
   * @param apiVersion - Of OffsetFetch.
   */
  async offsetFetch(
    query: OffsetQuery,
    apiVersion: number,
  ): Promise<{ groupId: string; topics: FetchedTopic[]; errorCode: number }> {
    const { groupId, memberId, memberEpoch, topics } = query
    const fault = this.#groups.find(groupId)?.findFetchFault({ memberId, memberEpoch }) ?? null
    if (fault !== null) return { groupId, topics: [], errorCode: errorCode(fault) }
    const byId = apiVersion >= FETCH_BY_ID_VERSION
    const fetched = this.#offsets.query(groupId, topics, this.#context.image(), byId)
    await this.#context.write([])
    return { groupId, topics: fetched, errorCode: errorCode('NONE') }
  }

  async offsetDelete(request: RequestOf<'OffsetDelete'>): Promise<ResponseOf<'OffsetDelete'>> {
    const { groupId } = request
    const group = this.#groups.find(groupId)
    const refuse = (error: ErrorName): ResponseOf<'OffsetDelete'> => {
      return { errorCode: errorCode(error), throttleTimeMs: 0, topics: [] }
    }
    if (group === null && !this.#offsets.has(groupId)) return refuse('GROUP_ID_NOT_FOUND')
    // Of what members of other kinds read, nothing is known.
    if (group !== null && !group.isEmpty && group.protocolType !== 'consumer')
      return refuse('NON_EMPTY_GROUP')
    const image = this.#context.image()
    const records: CoordinatorRecord[] = []
    const topics = request.topics.map(({ name, partitions }) => {
      let error: ErrorName = 'NONE'
      if (image.topicsByName.get(name) === undefined) error = 'UNKNOWN_TOPIC_OR_PARTITION'
      else if (group?.isSubscribedTo(name) === true) error = 'GROUP_SUBSCRIBED_TO_TOPIC'
      else {
        const indexes = new Set(partitions.map(({ partitionIndex }) => partitionIndex))
        records.push(...this.#offsets.remove(groupId, name, [...indexes]))
      }
      const code = errorCode(error)
      return {
        name,
        partitions: partitions.map(({ partitionIndex }) => ({ partitionIndex, errorCode: code })),
      }
    })
    await this.#context.write(records)
    return { errorCode: errorCode('NONE'), throttleTimeMs: 0, topics }
  }

  // Groups

  /** @param apiVersion - Of DescribeGroups. */
  async describeGroup(groupId: string, apiVersion: number): Promise<DescribedGroup> {
    const group = this.#groups.find(groupId)
    const described = group?.kind === 'classic' ? group.describe() : null
    const isSimple = group === null && this.#offsets.has(groupId)
    await this.#context.write([])
    const authorizedOperations = OPERATIONS_NOT_ASKED
    if (described !== null) return { ...described, authorizedOperations }
    const isTold = !isSimple && apiVersion >= DESCRIBE_GROUP_NOT_FOUND_VERSION
    return {
      errorCode: errorCode(isTold ? 'GROUP_ID_NOT_FOUND' : 'NONE'),
      errorMessage: isTold ? 'Described a group: there is no such classic group' : null,
      ...{ groupId, protocolType: '', protocolData: '', members: [], authorizedOperations },
      groupState: isSimple ? 'Empty' : 'Dead',
    }
  }

  /** The groups in any of the states and of any of the types, upper and lower case alike; all if none is named. */
  async listGroups({
    statesFilter,
    typesFilter,
  }: Pick<RequestOf<'ListGroups'>, 'statesFilter' | 'typesFilter'>): Promise<ListedGroup[]> {
    const states = new Set(statesFilter.map((state) => state.toLowerCase()))
    const types = new Set(typesFilter.map((type) => type.toLowerCase()))
    const listed: ListedGroup[] = []
    const list = (groupId: string, groupType: string, groupState: string, protocolType: string): void => {
      if (types.size > 0 && !types.has(groupType)) return
      if (states.size > 0 && !states.has(groupState.toLowerCase())) return
      listed.push({ groupId, protocolType, groupState, groupType })
    }
    for (const groupId of this.#groups.groupIds()) {
      const { kind, stateName, protocolType } = this.#groups.find(groupId)!
      list(groupId, kind, stateName, protocolType)
    }
    for (const groupId of this.#offsets.groupIds())
      if (this.#groups.find(groupId) === null) list(groupId, 'classic', 'Empty', '')
    await this.#context.write([])
    return listed
  }

  /** DeleteGroups of one: the group and its offsets, all of them when it is acknowledged. */
  async deleteGroup(groupId: string): Promise<ErrorName> {
    const group = this.#groups.find(groupId)
    if (group === null && !this.#offsets.has(groupId)) return 'GROUP_ID_NOT_FOUND'
    const fault = group?.findDeleteFault() ?? null
    if (fault !== null) return fault
    // The group last: a deletion that was cut short can be repeated.
    const records = [...this.#offsets.removeAll(groupId), ...this.#groups.tombstones(groupId)]
    const written = writeInPieces(this.#context, records)
    // In this turn, before anybody can join anew.
    this.#groups.dropClassic(groupId)
    this.#groups.dropConsumer(groupId)
    await written
    return 'NONE'
  }

  #findConsumerWithMembers(groupId: string): ConsumerGroup | null {
    const group = this.#groups.findConsumer(groupId)
    return group?.isEmpty === false ? group : null
  }

  #findCommitFault(groupId: string, member: CommittingMember, apiVersion: number): ErrorName | null {
    const group = this.#groups.find(groupId)
    if (group !== null) return group.findCommitFault(member, apiVersion, false)
    // Without a group there can be no member of it; anybody else may commit (tools, and consumers that assign themselves).
    if (member.generationIdOrMemberEpoch < 0) return null
    return apiVersion >= COMMIT_GROUP_NOT_FOUND_VERSION ? 'GROUP_ID_NOT_FOUND' : 'ILLEGAL_GENERATION'
  }

  #reportFull(groupId: string): ErrorName {
    this.#context.logger.warn('Refused a new group: this coordinator has as many as it can hold', { groupId })
    return 'COORDINATOR_NOT_AVAILABLE'
  }
}

function consumerFault(error: ErrorName, errorMessage: string): ResponseInputOf<'ConsumerGroupHeartbeat'> {
  const none = { memberId: null, memberEpoch: 0, heartbeatIntervalMs: 0 }
  return { errorCode: errorCode(error), errorMessage, ...none }
}
