/** A whole shard: groups of both protocols, offsets and their end, over a log (docs/faults.md G3 to G7, CG-1, CG-5, CG-9). */
import { describe, expect, test } from 'vitest'
import { Prng } from '../../../src/env/sim/prng.ts'
import { seedFromEnv } from '../../support/seed.ts'
import { errorCode } from '../../../src/protocol/errors.ts'
import { GROUPS_MAX } from '../../../src/coordinator/groups/group-registry.ts'
import { idOf, imageWith } from '../support/topics-image.ts'
import { client, commitRequest, joinRequest, nameOf, subscription, TestShard } from '../support/test-shard.ts'

const DAY_MS = 86_400_000
const RETENTION_MS = 7 * DAY_MS
/** Longer than a round of housekeeping takes to come. */
const ROUND_MS = 700_000

describe('offsets', () => {
  test('G4: of members and of simple consumers survive a fail-over', async () => {
    const world = new TestShard()
    const { memberId, generationId } = await world.joinClassic('members')
    expect(await world.commitOffset('members', 7, { memberId, generation: generationId })).toBe('NONE')
    expect(await world.commitOffset('simple', 9)).toBe('NONE')
    world.failOver()
    expect(await world.offsets('members')).toEqual({ 'orders-0': 7 })
    expect(await world.offsets('simple')).toEqual({ 'orders-0': 9 })
    expect(await world.commitOffset('members', 8, { memberId, generation: generationId })).toBe('NONE')
  })

  test('G5: a commit is acknowledged, and told of, only when it is committed in the log', async () => {
    const world = new TestShard()
    world.commitsAtOnce = false
    let isAnswered = false
    const committed = world.shard.offsetCommit(commitRequest('g', 5), client(9))
    const query = { groupId: 'g', memberId: null, memberEpoch: -1, topics: null }
    const fetched = world.shard.offsetFetch(query, 9)
    void Promise.race([committed, fetched]).then(() => (isAnswered = true))
    await world.runFor(10_000)
    expect(isAnswered).toBe(false)
    world.commit()
    expect((await world.settle(committed)).topics[0]!.partitions[0]!.errorCode).toBe(0)
    expect((await world.settle(fetched)).topics[0]!.partitions[0]!.committedOffset).toBe(5)
  })

  test('G5: a commit that was lost with its coordinator is answered NOT_COORDINATOR, as are those who asked for it', async () => {
    const world = new TestShard()
    await world.commitOffset('g', 4)
    world.commitsAtOnce = false
    const committed = world.shard.offsetCommit(commitRequest('g', 5), client(9))
    const query = { groupId: 'g', memberId: null, memberEpoch: -1, topics: null }
    const fetched = world.shard.offsetFetch(query, 9)
    const both = Promise.allSettled([committed, fetched])
    world.failOver({ losesUncommitted: true })
    for (const outcome of await both)
      expect(outcome).toMatchObject({ status: 'rejected', reason: { error: 'NOT_COORDINATOR' } })
    world.commitsAtOnce = true
    expect(await world.offsets('g')).toEqual({ 'orders-0': 4 })
  })

  test('G3: of a stale generation, a stranger, or nobody while there are members, are refused', async () => {
    const world = new TestShard()
    const { memberId, generationId } = await world.joinClassic('g')
    const commit = (who: Parameters<TestShard['commitOffset']>[2]) => world.commitOffset('g', 1, who)
    expect(await commit({ memberId, generation: generationId - 1 })).toBe('ILLEGAL_GENERATION')
    expect(await commit({ memberId: 'stranger', generation: generationId })).toBe('UNKNOWN_MEMBER_ID')
    expect(await commit({})).toBe('UNKNOWN_MEMBER_ID')
    expect(await world.offsets('g')).toEqual({})
  })

  test('G3: of a member of a group that is not there are refused in words that the version knows', async () => {
    const world = new TestShard()
    expect(await world.commitOffset('g', 1, { memberId: 'm', generation: 1, apiVersion: 8 })).toBe(
      'ILLEGAL_GENERATION',
    )
    expect(await world.commitOffset('g', 1, { memberId: 'm', generation: 1, apiVersion: 9 })).toBe(
      'GROUP_ID_NOT_FOUND',
    )
    expect(await world.listed()).toEqual({})
  })

  test('G3: of a member of the consumer protocol need its epoch, and so does asking for them', async () => {
    const world = new TestShard()
    const { memberEpoch } = await world.consumerHeartbeat('g', 'm')
    const ask = async (memberId: string | null, epoch: number) => {
      const query = { groupId: 'g', memberId, memberEpoch: epoch, topics: null }
      return nameOf(await world.settle(world.shard.offsetFetch(query, 9)))
    }
    expect(await world.commitOffset('g', 3, { memberId: 'm', generation: memberEpoch })).toBe('NONE')
    expect(await world.commitOffset('g', 4, { memberId: 'm', generation: memberEpoch - 1 })).toBe(
      'STALE_MEMBER_EPOCH',
    )
    expect(await world.commitOffset('g', 4, { memberId: 'x', generation: memberEpoch })).toBe(
      'UNKNOWN_MEMBER_ID',
    )
    expect(await ask('m', memberEpoch)).toBe('NONE')
    expect(await ask('m', memberEpoch + 1)).toBe('STALE_MEMBER_EPOCH')
    expect(await ask('x', memberEpoch)).toBe('UNKNOWN_MEMBER_ID')
    expect(await ask(null, -1)).toBe('NONE')
    expect(await world.offsets('g')).toEqual({ 'orders-0': 3 })
  })

  test('a member that commits is alive, though it sends no heartbeats', async () => {
    const world = new TestShard()
    const { memberId, generationId } = await world.joinClassic('g')
    for (let offset = 1; offset <= 5; offset++) {
      await world.runFor(8_000)
      expect(await world.commitOffset('g', offset, { memberId, generation: generationId })).toBe('NONE')
    }
    await world.runFor(11_000)
    expect(await world.commitOffset('g', 9, { memberId, generation: generationId })).toBe('UNKNOWN_MEMBER_ID')
  })

  test('CG-9: of a topic that was created anew are gone at once, and from the log soon', async () => {
    const world = new TestShard()
    await world.commitOffset('g', 5)
    world.image = imageWith({ orders: { id: idOf('orders-2'), partitionCount: 3 } })
    expect(await world.offsets('g')).toEqual({})
    await world.runFor(ROUND_MS)
    expect(world.compacted).toEqual([])
    world.failOver()
    expect(await world.offsets('g')).toEqual({})
  })
})

describe('OffsetDelete', () => {
  const deleteOf = (world: TestShard, groupId: string, ...names: string[]) => {
    const topics = names.map((name) => ({ name, partitions: [{ partitionIndex: 0 }, { partitionIndex: 0 }] }))
    return world.settle(world.shard.offsetDelete({ groupId, topics }))
  }

  test('forgets what no member reads, and says of the rest why not', async () => {
    const world = new TestShard()
    const { memberId, generationId } = await world.joinClassic('g', { topics: ['orders'] })
    const who = { memberId, generation: generationId }
    await world.commitOffset('g', 1, who)
    await world.commitOffset('g', 2, { ...who, topic: 'visits' })
    const { topics } = await deleteOf(world, 'g', 'orders', 'visits', 'missing')
    expect(topics.map(({ partitions }) => partitions.map(nameOf))).toEqual([
      ['GROUP_SUBSCRIBED_TO_TOPIC', 'GROUP_SUBSCRIBED_TO_TOPIC'],
      ['NONE', 'NONE'],
      ['UNKNOWN_TOPIC_OR_PARTITION', 'UNKNOWN_TOPIC_OR_PARTITION'],
    ])
    expect(await world.offsets('g')).toEqual({ 'orders-0': 1 })
  })

  test('of a group that is not there, or whose members are no consumers, is refused', async () => {
    const world = new TestShard()
    expect(nameOf(await deleteOf(world, 'g', 'orders'))).toBe('GROUP_ID_NOT_FOUND')
    const protocols = [{ name: 'v1', metadata: new Uint8Array(1) }]
    await world.settle(
      world.shard.joinGroup({ ...joinRequest('g'), protocolType: 'connect', protocols }, client(1)),
    )
    expect(nameOf(await deleteOf(world, 'g', 'orders'))).toBe('NON_EMPTY_GROUP')
  })
})

describe('DeleteGroups', () => {
  test('refuses a group with members, and disturbs neither it nor another', async () => {
    const world = new TestShard()
    const classic = await world.joinClassic('classic')
    await world.consumerHeartbeat('consumer', 'm')
    expect(await world.settle(world.shard.deleteGroup('classic'))).toBe('NON_EMPTY_GROUP')
    expect(await world.settle(world.shard.deleteGroup('consumer'))).toBe('NON_EMPTY_GROUP')
    expect(await world.settle(world.shard.deleteGroup('missing'))).toBe('GROUP_ID_NOT_FOUND')
    expect(await world.listed()).toEqual({ classic: 'classic Stable', consumer: 'consumer Stable' })
    const { memberId, generationId } = classic
    expect(await world.commitOffset('classic', 1, { memberId, generation: generationId })).toBe('NONE')
  })

  test('leaves nothing in the log of a group of either kind, nor of a simple one', async () => {
    const world = new TestShard()
    const { memberId, generationId } = await world.joinClassic('classic')
    await world.commitOffset('classic', 1, { memberId, generation: generationId })
    await world.leaveClassic('classic', memberId)
    await world.consumerHeartbeat('consumer', 'm')
    await world.consumerHeartbeat('consumer', 'm', { memberEpoch: -1 })
    await world.commitOffset('consumer', 2)
    await world.commitOffset('simple', 3)
    for (const groupId of ['classic', 'consumer', 'simple'])
      expect(await world.settle(world.shard.deleteGroup(groupId))).toBe('NONE')
    expect(world.compacted).toEqual([])
    expect(await world.listed()).toEqual({})
    expect(await world.settle(world.shard.deleteGroup('classic'))).toBe('GROUP_ID_NOT_FOUND')
    world.failOver()
    expect(await world.listed()).toEqual({})
    expect(await world.offsets('classic')).toEqual({})
  })

  test('writes a great many offsets in pieces that the log takes', async () => {
    const world = new TestShard({ wide: 6_000 })
    const partitions = Array.from({ length: 6_000 }, (_, partitionIndex) => ({
      ...{ partitionIndex, committedOffset: 1, committedLeaderEpoch: -1, committedMetadata: null },
    }))
    for (let start = 0; start < 6_000; start += 2_000) {
      const request = commitRequest('g', 1)
      const topics = [
        { ...request.topics[0]!, name: 'wide', partitions: partitions.slice(start, start + 2_000) },
      ]
      await world.settle(world.shard.offsetCommit({ ...request, topics }, client(9)))
    }
    expect(await world.settle(world.shard.deleteGroup('g'))).toBe('NONE')
    expect(world.compacted).toEqual([])
  })
})

describe('ListGroups and DescribeGroups', () => {
  test('tell groups of both kinds and simple ones, by state and type in upper and lower case', async () => {
    const world = new TestShard()
    await world.joinClassic('classic')
    await world.consumerHeartbeat('consumer', 'm')
    await world.commitOffset('simple', 1)
    expect(await world.listed()).toEqual({
      ...{ classic: 'classic Stable', consumer: 'consumer Stable', simple: 'classic Empty' },
    })
    expect(Object.keys(await world.listed({ statesFilter: ['EMPTY'] }))).toEqual(['simple'])
    expect(Object.keys(await world.listed({ typesFilter: ['Consumer'] }))).toEqual(['consumer'])
    expect(await world.listed({ statesFilter: ['stable'], typesFilter: ['share'] })).toEqual({})
  })

  test('describe a classic group, a simple one, and say of all others that there is none as the version allows', async () => {
    const world = new TestShard()
    const { memberId } = await world.joinClassic('classic')
    await world.consumerHeartbeat('consumer', 'm')
    await world.commitOffset('simple', 1)
    const describeIt = (groupId: string, version: number) =>
      world.settle(world.shard.describeGroup(groupId, version))
    const classic = await describeIt('classic', 6)
    expect(classic).toMatchObject({
      errorCode: 0,
      groupState: 'Stable',
      protocolData: 'range',
      protocolType: 'consumer',
    })
    expect(classic.members).toMatchObject([{ memberId, memberAssignment: Uint8Array.of(1) }])
    expect(await describeIt('simple', 6)).toMatchObject({ errorCode: 0, groupState: 'Empty', members: [] })
    for (const groupId of ['consumer', 'missing']) {
      expect(await describeIt(groupId, 5)).toMatchObject({
        errorCode: 0,
        groupState: 'Dead',
        errorMessage: null,
      })
      expect(await describeIt(groupId, 6)).toMatchObject({ errorCode: errorCode('GROUP_ID_NOT_FOUND') })
    }
    const described = await world.settle(world.shard.consumerGroupDescribe('consumer'))
    expect(described).toMatchObject({ errorCode: 0, groupState: 'Stable', members: [{ memberId: 'm' }] })
    for (const groupId of ['classic', 'missing'])
      expect(nameOf(await world.settle(world.shard.consumerGroupDescribe(groupId)))).toBe(
        'GROUP_ID_NOT_FOUND',
      )
  })

  test('names of any bytes are names', async () => {
    const world = new TestShard()
    for (const groupId of ['__proto__', 'toString', 'a\0', '\u{1F4A5}', ' '])
      expect((await world.joinClassic(groupId)).error).toBe('NONE')
    expect(Object.values(await world.listed())).toEqual(Array.from({ length: 5 }, () => 'classic Stable'))
    expect(await world.settle(world.shard.deleteGroup('constructor'))).toBe('GROUP_ID_NOT_FOUND')
  })
})

describe('requests of members', () => {
  test('without a group name, or of a group that is not there, are refused and leave nothing behind', async () => {
    const world = new TestShard()
    const { shard } = world
    const generationId = 1
    const who = { memberId: 'm', generationId, groupInstanceId: null }
    const none = { assignments: [], protocolName: null, protocolType: null }
    for (const [groupId, error] of [
      ['', 'INVALID_GROUP_ID'],
      ['missing', 'UNKNOWN_MEMBER_ID'],
    ] as const) {
      const join = {
        ...joinRequest(groupId),
        memberId: 'm',
        protocols: [{ name: 'range', metadata: subscription([]) }],
      }
      expect(nameOf(await world.settle(shard.joinGroup(join, client(9))))).toBe(error)
      expect(nameOf(await world.settle(shard.syncGroup({ groupId, ...who, ...none }, client(5))))).toBe(error)
      expect(nameOf(await world.settle(shard.heartbeat({ groupId, ...who })))).toBe(error)
      const leave = { groupId, memberId: 'm', members: [] }
      expect(nameOf(await world.settle(shard.leaveGroup(leave, client(1))))).toBe(error)
    }
    const left = await world.leaveClassic('missing', 'm')
    expect(nameOf(left)).toBe('NONE')
    expect(left.members.map(nameOf)).toEqual(['UNKNOWN_MEMBER_ID'])
    expect(nameOf(await world.consumerHeartbeat('missing', 'm', { memberEpoch: 3 }))).toBe(
      'GROUP_ID_NOT_FOUND',
    )
    expect(await world.listed()).toEqual({})
    expect(world.records).toEqual([])
  })

  test('a first join that is refused leaves no group behind, in either protocol', async () => {
    const world = new TestShard()
    const tooShort = {
      ...joinRequest('g'),
      sessionTimeoutMs: 1,
      protocols: [{ name: 'range', metadata: subscription([]) }],
    }
    expect(nameOf(await world.settle(world.shard.joinGroup(tooShort, client(9))))).toBe(
      'INVALID_SESSION_TIMEOUT',
    )
    expect(nameOf(await world.consumerHeartbeat('h', 'm', { serverAssignor: 'no such' }))).toBe(
      'UNSUPPORTED_ASSIGNOR',
    )
    expect(await world.listed()).toEqual({})
  })

  test('groups that clients make up are bounded, and those that are here go on', async () => {
    const world = new TestShard()
    const { memberId, generationId } = await world.joinClassic('here')
    const join = { ...joinRequest(''), protocols: [{ name: 'range', metadata: subscription([]) }] }
    for (let count = 1; count < GROUPS_MAX; count++)
      void world.shard.joinGroup({ ...join, groupId: `g${count}` }, client(9))
    expect((await world.joinClassic('one too many')).error).toBe('COORDINATOR_NOT_AVAILABLE')
    expect(nameOf(await world.consumerHeartbeat('two too many', 'm'))).toBe('COORDINATOR_NOT_AVAILABLE')
    expect(await world.commitOffset('here', 1, { memberId, generation: generationId })).toBe('NONE')
    world.shard.close('NOT_COORDINATOR')
  })

  test('GROUP_MAX_SIZE_REACHED: a classic group is full before its record is, and those in it go on', async () => {
    const world = new TestShard({ orders: 1 })
    world.batchBytesMax = 60_000
    const metadata = new Uint8Array(2_000)
    metadata.set(subscription(['orders']))
    const protocols = [{ name: 'range', metadata }]
    const joins = Array.from({ length: 40 }, () =>
      world.shard.joinGroup({ ...joinRequest('g'), protocols }, client(1)),
    )
    await world.runFor(1_000)
    const answers = await Promise.all(joins)
    const names = answers.map(nameOf)
    expect(new Set(names)).toEqual(new Set(['NONE', 'GROUP_MAX_SIZE_REACHED']))
    const leader = answers.find(({ memberId, leader: id }) => memberId !== '' && memberId === id)!
    const sync = (bytes: number) => {
      const { memberId, generationId } = leader
      const assignments = leader.members.map((each) => ({
        memberId: each.memberId,
        assignment: new Uint8Array(bytes),
      }))
      const request = { groupId: 'g', memberId, generationId, groupInstanceId: null, assignments }
      const answer = world.shard.syncGroup({ ...request, protocolName: null, protocolType: null }, client(5))
      return world.settle(answer).then(nameOf)
    }
    expect(await sync(4_000)).toBe('INVALID_REQUEST')
    expect(await sync(1_500)).toBe('NONE')
    expect(await world.listed()).toEqual({ g: 'classic Stable' })
    world.shard.close('NOT_COORDINATOR')
  })

  test('GROUP_MAX_SIZE_REACHED: what a group of the consumer protocol cannot write it does without', async () => {
    const world = new TestShard({ orders: 100 })
    world.batchBytesMax = 20_000
    for (let index = 0; index < 10; index++) await world.consumerHeartbeat('g', `m${index}`)
    world.setTopics({ orders: 8_000 })
    expect(nameOf(await world.consumerHeartbeat('g', 'one too many'))).toBe('GROUP_MAX_SIZE_REACHED')
    const present = await world.consumerHeartbeat('g', 'm0')
    expect(nameOf(present)).toBe('NONE')
    expect(present.assignment!.topicPartitions).not.toEqual([])
    expect(await world.commitOffset('g', 1, { memberId: 'm0', generation: present.memberEpoch })).toBe('NONE')
    // All die at once, and are removed in pieces.
    world.batchBytesMax = 600
    await world.runFor(60_000)
    expect(await world.listed()).toEqual({ g: 'consumer Empty' })
  })

  test('a shard that is closed answers all who wait', async () => {
    const world = new TestShard({ orders: 1 }, { initialRebalanceDelayMs: 3_000 })
    const protocols = [{ name: 'range', metadata: subscription(['orders']) }]
    const joining = world.shard.joinGroup({ ...joinRequest('g'), protocols }, client(1))
    await world.runFor(100)
    world.shard.close('NOT_COORDINATOR')
    expect(nameOf(await world.settle(joining))).toBe('NOT_COORDINATOR')
  })
})

describe('a group of one protocol', () => {
  test('cannot be joined by the other while it has members, if the policy disables that', async () => {
    const world = new TestShard({ orders: 3 }, { consumerMigrationPolicy: 'disabled' })
    const { memberId, generationId } = await world.joinClassic('classic')
    await world.consumerHeartbeat('consumer', 'm')
    expect((await world.joinClassic('consumer')).error).toBe('INCONSISTENT_GROUP_PROTOCOL')
    const refused = await world.consumerHeartbeat('classic', 'm')
    expect(nameOf(refused)).toBe('GROUP_ID_NOT_FOUND')
    expect(refused.errorMessage).toContain('classic protocol')
    expect(await world.listed()).toEqual({ classic: 'classic Stable', consumer: 'consumer Stable' })
    expect(await world.commitOffset('classic', 1, { memberId, generation: generationId })).toBe('NONE')
  })

  test('can be joined by the other once it is empty, and keeps its offsets: classic to consumer', async () => {
    const world = new TestShard()
    const { memberId, generationId } = await world.joinClassic('g')
    await world.commitOffset('g', 5, { memberId, generation: generationId })
    await world.leaveClassic('g', memberId)
    const { memberEpoch } = await world.consumerHeartbeat('g', 'm')
    expect(memberEpoch).toBe(1)
    expect(await world.listed()).toEqual({ g: 'consumer Stable' })
    expect(await world.offsets('g')).toEqual({ 'orders-0': 5 })
    world.failOver()
    expect(await world.listed()).toEqual({ g: 'consumer Stable' })
    await world.runFor(1)
    expect(await world.commitOffset('g', 6, { memberId: 'm', generation: memberEpoch })).toBe('NONE')
    world.shard.close('NOT_COORDINATOR')
  })

  test('can be joined by the other once it is empty, and keeps its offsets: consumer to classic', async () => {
    const world = new TestShard()
    await world.consumerHeartbeat('g', 'm')
    await world.commitOffset('g', 5, { memberId: 'm', generation: 1 })
    await world.consumerHeartbeat('g', 'm', { memberEpoch: -1 })
    const { memberId, generationId, error } = await world.joinClassic('g')
    expect(error).toBe('NONE')
    expect(await world.listed()).toEqual({ g: 'classic Stable' })
    expect(await world.offsets('g')).toEqual({ 'orders-0': 5 })
    world.failOver()
    expect(await world.listed()).toEqual({ g: 'classic Stable' })
    expect(await world.commitOffset('g', 6, { memberId, generation: generationId })).toBe('NONE')
  })

  test('goes from the log once the one that took its name is there', async () => {
    const world = new TestShard({ orders: 1 }, { sessionTimeoutMsMax: DAY_MS })
    await world.consumerHeartbeat('g', 'm')
    await world.consumerHeartbeat('g', 'm', { memberEpoch: -1 })
    const { memberId, generationId } = await world.joinClassic('g')
    for (let beat = 0; beat < 100; beat++) {
      await world.runFor(8_000)
      await world.settle(
        world.shard.heartbeat({ groupId: 'g', memberId, generationId, groupInstanceId: null }),
      )
    }
    expect(world.compacted.map(({ kind }) => kind)).toEqual(['GroupMetadata'])
    expect(await world.listed()).toEqual({ g: 'classic Stable' })
  })
})

describe('housekeeping', () => {
  test('G7: offsets of a simple group go after the retention, and not before', async () => {
    const world = new TestShard()
    await world.commitOffset('g', 1)
    await world.runFor(RETENTION_MS - 1)
    expect(await world.offsets('g')).toEqual({ 'orders-0': 1 })
    await world.runFor(ROUND_MS)
    expect(await world.offsets('g')).toEqual({})
    expect(world.compacted).toEqual([])
    expect(await world.listed()).toEqual({})
  })

  test('G7: offsets of a group that was emptied count from then, also after fail-overs, and the group goes with them', async () => {
    for (const kind of ['classic', 'consumer'] as const) {
      const world = new TestShard(
        { orders: 3 },
        { sessionTimeoutMsMax: 30 * DAY_MS, consumerSessionTimeoutMs: 30 * DAY_MS },
      )
      const stayMs = 10 * DAY_MS
      if (kind === 'classic') {
        const protocols = [{ name: 'range', metadata: subscription(['orders']) }]
        const join = { ...joinRequest('g'), protocols, sessionTimeoutMs: stayMs * 2 }
        const { memberId, generationId } = await world.settle(world.shard.joinGroup(join, client(1)))
        const sync = { groupId: 'g', memberId, generationId, groupInstanceId: null, assignments: [] }
        await world.settle(
          world.shard.syncGroup({ ...sync, protocolName: null, protocolType: null }, client(1)),
        )
        await world.commitOffset('g', 1, { memberId, generation: generationId })
        await world.runFor(stayMs)
        expect(await world.offsets('g'), kind).toEqual({ 'orders-0': 1 })
        await world.leaveClassic('g', memberId)
      } else {
        await world.consumerHeartbeat('g', 'm')
        await world.commitOffset('g', 1, { memberId: 'm', generation: 1 })
        await world.runFor(stayMs)
        expect(await world.offsets('g'), kind).toEqual({ 'orders-0': 1 })
        await world.consumerHeartbeat('g', 'm', { memberEpoch: -1 })
      }
      await world.runFor(RETENTION_MS - DAY_MS)
      world.failOver()
      await world.runFor(DAY_MS - 1_000)
      expect(await world.offsets('g'), kind).toEqual({ 'orders-0': 1 })
      await world.runFor(ROUND_MS)
      expect(await world.offsets('g'), kind).toEqual({})
      await world.runFor(ROUND_MS)
      expect(world.compacted, kind).toEqual([])
    }
  })

  test('CG-5: a wall clock that jumps takes no offsets with it, whichever way', async () => {
    const world = new TestShard()
    await world.commitOffset('before', 1)
    world.wallOffMs = 1_000 * DAY_MS
    await world.runFor(ROUND_MS)
    expect(await world.offsets('before')).toEqual({ 'orders-0': 1 })
    world.wallOffMs = -1_000 * DAY_MS
    await world.commitOffset('while it is behind', 2)
    world.wallOffMs = 0
    await world.runFor(ROUND_MS)
    expect(await world.offsets('while it is behind')).toEqual({ 'orders-0': 2 })
    expect(await world.offsets('before')).toEqual({ 'orders-0': 1 })
  })

  test('a round goes through a great many groups in slices', async () => {
    const world = new TestShard()
    const count = 1_000
    for (let index = 0; index < count; index++) await world.commitOffset(`g${index}`, 1)
    await world.runFor(RETENTION_MS + 2 * ROUND_MS)
    expect(world.compacted).toEqual([])
  })

  test('ends with the shard', async () => {
    const world = new TestShard()
    await world.commitOffset('g', 1)
    world.shard.close('NOT_COORDINATOR')
    await world.runFor(2 * RETENTION_MS)
    expect(world.records).toHaveLength(1)
  })
})

describe('replay()', () => {
  test('of the log, whole or compacted, comes to the same groups and offsets: random lives of three groups', async () => {
    const seed = seedFromEnv('group-shard')
    for (let round = 0; round < 8; round++) {
      const draws = new Prng(seed + round, 'lives')
      const world = new TestShard({ orders: 3, visits: 1 })
      const members: { groupId: string; memberId: string; generation: number; isClassic: boolean }[] = []
      for (let step = 0; step < 40; step++) {
        const groupId = `g${draws.below(3)}`
        const member = members[draws.below(Math.max(1, members.length))]
        const action = draws.below(8)
        if (action === 0) {
          const { error, memberId, generationId } = await world.joinClassic(groupId)
          if (error === 'NONE') members.push({ groupId, memberId, generation: generationId, isClassic: true })
        } else if (action === 1) {
          const { errorCode: code, memberEpoch } = await world.consumerHeartbeat(groupId, `m${step}`)
          if (code === 0)
            members.push({ groupId, memberId: `m${step}`, generation: memberEpoch, isClassic: false })
        } else if (action === 2 && member !== undefined) {
          if (member.isClassic) await world.leaveClassic(member.groupId, member.memberId)
          else await world.consumerHeartbeat(member.groupId, member.memberId, { memberEpoch: -1 })
        } else if (action === 3) {
          await world.settle(world.shard.deleteGroup(groupId))
        } else if (action === 4) {
          await world.runFor(draws.below(20_000))
        } else if (action === 5) {
          world.failOver()
        } else {
          await world.commitOffset(groupId, step, { partition: draws.below(3), ...member })
        }
      }
      // All sessions end, so that what is left does not depend on who heard what when.
      await world.runFor(120_000)
      const before = await stateOf(world)
      world.failOver()
      expect(await stateOf(world), `after a fail-over, seed ${seed + round}`).toEqual(before)
      world.compact()
      world.failOver()
      expect(await stateOf(world), `compacted, seed ${seed + round}`).toEqual(before)
      world.shard.close('NOT_COORDINATOR')
    }
  })

  async function stateOf(world: TestShard) {
    const offsets = []
    for (const groupId of ['g0', 'g1', 'g2']) offsets.push(await world.offsets(groupId))
    return { offsets, listed: await world.listed() }
  }

  test('takes tombstones of what is not there, and makes nothing of them', async () => {
    const world = new TestShard()
    await world.consumerHeartbeat('g', 'm')
    await world.consumerHeartbeat('g', 'm', { memberEpoch: -1 })
    await world.settle(world.shard.deleteGroup('g'))
    const tombstones = world.records.filter(({ value }) => value === null)
    for (const record of [
      ...tombstones,
      { kind: 'GroupMetadata', key: { group: 'h' }, value: null } as const,
    ])
      world.shard.replay(record)
    expect(await world.listed()).toEqual({})
  })
})
