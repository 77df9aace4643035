/** Groups of the consumer protocol, step by step (KIP-848; faults.md G1, G2, G3, G8, CG-3, CG-4, CG-7). */
import { describe, expect, it } from 'vitest'
import { TestShard, assignedBy, contentOf, own } from './support.ts'

const SESSION_MS = 45_000

/** Two members, a topic of 4 partitions, both settled: `x` has 0 and 1, `y` 2 and 3 (or the other way around). */
async function pair(): Promise<{ shard: TestShard; epoch: number }> {
  const shard = new TestShard({ topics: { t: 4 } })
  await shard.join('x', ['t'])
  await shard.join('y', ['t'])
  await shard.send({ memberId: 'x', memberEpoch: 1 })
  await shard.send({ memberId: 'x', memberEpoch: 1, topicPartitions: [own('t', 0, 1)] })
  await shard.send({ memberId: 'y', memberEpoch: 2 })
  expect(shard.state.name).toBe('Stable')
  return { shard, epoch: 2 }
}

describe('joining', () => {
  it('gives the first member everything, at epoch 1, in one batch', async () => {
    const shard = new TestShard({ topics: { t: 3 } })

    const answer = await shard.join('x', ['t', 'missing'])

    expect(answer).toMatchObject({ error: 'NONE', memberId: 'x', memberEpoch: 1 })
    expect(assignedBy(answer)).toEqual({ t: [0, 1, 2] })
    expect(shard.batches.length).toBe(1)
    expect(shard.lastBatch()).toEqual([
      'MemberMetadata x',
      'Metadata',
      'TargetAssignmentMember x',
      'TargetAssignmentMetadata',
      'CurrentMemberAssignment x',
    ])
  })

  it('makes an id for a member that comes without (v0) and wants one of those that must have one (v1)', async () => {
    const shard = new TestShard({ topics: { t: 1 } })

    expect((await shard.join('', ['t'])).error).toBe('INVALID_REQUEST')
    const request = {
      memberEpoch: 0,
      rebalanceTimeoutMs: 1,
      subscribedTopicNames: ['t'],
      topicPartitions: [],
    }
    const answer = await shard.send(request, 0)

    expect(answer.error).toBe('NONE')
    expect(answer.memberId).toMatch(/^.{22}$/)
  })

  it('answers a joining member that lost the answer with the same again, and writes nothing (CG-7)', async () => {
    const shard = new TestShard({ topics: { t: 2 } })
    await shard.join('x', ['t'])

    const again = await shard.join('x', ['t'])

    expect(again).toMatchObject({ error: 'NONE', memberEpoch: 1 })
    expect(assignedBy(again)).toEqual({ t: [0, 1] })
    expect(shard.batches.length).toBe(1)
  })

  it('refuses one more than group.consumer.max.size, but not those who are there', async () => {
    const shard = new TestShard({ topics: { t: 2 }, config: { consumerGroupSizeMax: 1 } })
    await shard.join('x', ['t'])

    expect((await shard.join('y', ['t'])).error).toBe('GROUP_MAX_SIZE_REACHED')
    expect((await shard.join('x', ['t'])).error).toBe('NONE')
  })

  it('leaves no trace when the log refuses it, and can be done again', async () => {
    const shard = new TestShard({ topics: { t: 2 } })
    shard.isRefusing = true

    expect((await shard.join('x', ['t'])).error).toBe('COORDINATOR_NOT_AVAILABLE')
    expect(shard.group.isBlank).toBe(true)
    shard.isRefusing = false
    await shard.sim.run(2 * SESSION_MS)
    expect((await shard.join('x', ['t'])).memberEpoch).toBe(1)
  })

  it('lets a member leave whatever it says of its rebalance timeout, as @platformatic/kafka does', async () => {
    const shard = new TestShard({ topics: { t: 2 } })
    await shard.join('x', ['t'])

    const answer = await shard.send({
      memberId: 'x',
      memberEpoch: -1,
      rebalanceTimeoutMs: 0,
      topicPartitions: [],
    })

    expect([answer.error, answer.memberEpoch]).toEqual(['NONE', -1])
  })

  it.each([
    ['group id', { groupId: '' }],
    ['instance id', { instanceId: '' }],
    ['rack id', { rackId: '' }],
    ['rebalance timeout missing', { rebalanceTimeoutMs: -1 }],
    ['rebalance timeout', { rebalanceTimeoutMs: 0 }],
    ['owned partitions missing', { topicPartitions: null }],
    ['owned partitions', { topicPartitions: [own('t', 0)] }],
    ['no subscription', { subscribedTopicNames: null }],
    ['epoch', { memberEpoch: -3 }],
    ['leaves for a while without instance id', { memberEpoch: -2 }],
    ['long id', { rackId: 'r'.repeat(256) }],
    ['long subscription', { subscribedTopicNames: Array.from({ length: 10_001 }, (_, i) => `t${i}`) }],
  ])('refuses what cannot be meant: %s', async (_name, wrong) => {
    const shard = new TestShard({ topics: { t: 2 } })

    const answer = await shard.join('x', ['t'], wrong)

    expect(answer).toMatchObject({ error: 'INVALID_REQUEST', memberEpoch: 0, memberId: null })
    expect(shard.batches).toEqual([])
  })

  it('refuses an assignor that is not on offer', async () => {
    const shard = new TestShard()

    const answer = await shard.join('x', ['t'], { serverAssignor: 'best' })

    expect(answer.error).toBe('UNSUPPORTED_ASSIGNOR')
    expect(answer.errorMessage).toContain('uniform, range')
  })
})

describe('heartbeats', () => {
  it('write nothing when nothing changed, and say nothing of the assignment', async () => {
    const { shard, epoch } = await pair()
    const count = shard.batches.length

    const answer = await shard.send({ memberId: 'x', memberEpoch: epoch })

    expect(answer).toMatchObject({ error: 'NONE', memberEpoch: epoch, assignment: null })
    expect(shard.batches.length).toBe(count)
  })

  it('that say everything are told everything: who sends them has lost an answer', async () => {
    const { shard, epoch } = await pair()
    const count = shard.batches.length

    const answer = await shard.send({
      ...{ memberId: 'x', memberEpoch: epoch, rebalanceTimeoutMs: 60_000 },
      ...{ subscribedTopicNames: ['t'], topicPartitions: [own('t', 0, 1)] },
    })

    expect(assignedBy(answer)).toEqual({ t: [0, 1] })
    expect(shard.batches.length).toBe(count)
  })

  it('are wanted often while members are on their way, and as configured when all have arrived', async () => {
    const { shard, epoch } = await pair()

    const soon = await shard.send({ memberId: 'x', memberEpoch: epoch })
    await shard.sim.run(shard.sim.nowMs + 5_000)
    const later = await shard.send({ memberId: 'x', memberEpoch: epoch })

    expect(soon.heartbeatIntervalMs).toBe(200)
    expect(later.heartbeatIntervalMs).toBe(5_000)
  })

  it('are wanted often when a member is about to be given up, so that its partitions have an owner soon after', async () => {
    const { shard, epoch } = await pair()
    const startMs = shard.sim.nowMs
    const intervals = new Map<number, number>()
    for (let seconds = 5; seconds <= 40; seconds += 5) {
      await shard.sim.run(startMs + seconds * 1000)
      intervals.set(seconds, (await shard.send({ memberId: 'x', memberEpoch: epoch })).heartbeatIntervalMs)
    }
    expect(intervals.get(30)).toBe(5_000)
    expect(intervals.get(40)).toBe(200)
  })

  it('G3: of unknown members, of a group that is not there, and of epochs that were or never were, are refused', async () => {
    const { shard, epoch } = await pair()

    expect((await shard.send({ memberId: 'z', memberEpoch: 1 })).error).toBe('UNKNOWN_MEMBER_ID')
    expect((await shard.send({ memberId: 'z', memberEpoch: -1 })).error).toBe('UNKNOWN_MEMBER_ID')
    expect((await new TestShard().send({ memberId: 'z', memberEpoch: 4 })).error).toBe('UNKNOWN_MEMBER_ID')
    expect((await shard.send({ memberId: 'x', memberEpoch: epoch + 1 })).error).toBe('FENCED_MEMBER_EPOCH')
    expect((await shard.send({ memberId: 'y', memberEpoch: epoch - 1 })).error).toBe('FENCED_MEMBER_EPOCH')
  })

  it('CG-7: go on from one epoch back when all that the member owns is its own still, and only then', async () => {
    const { shard, epoch } = await pair()
    const one = { memberId: 'x', memberEpoch: epoch - 1 }

    expect((await shard.send(one)).error).toBe('FENCED_MEMBER_EPOCH')
    expect((await shard.send({ ...one, topicPartitions: [own('t', 1, 2)] })).error).toBe(
      'FENCED_MEMBER_EPOCH',
    )
    const answer = await shard.send({ ...one, topicPartitions: [own('t', 1)] })

    expect(answer).toMatchObject({ error: 'NONE', memberEpoch: epoch })
    expect(assignedBy(answer)).toEqual({ t: [0, 1] })
  })

  it('answer only when what they tell of is committed', async () => {
    const shard = new TestShard({ topics: { t: 2 }, commitMs: () => 10 })
    let answered = 0
    const joined = shard.join('x', ['t']).then(() => answered++)
    const refused = shard.send({ memberId: 'x', memberEpoch: 7 }).then(() => answered++)
    await shard.sim.run(5)

    expect(answered).toBe(0)
    await shard.sim.run(15)
    await Promise.all([joined, refused])
    expect(answered).toBe(2)
  })

  it('are answered NOT_COORDINATOR when the shard goes before they are committed', async () => {
    const shard = new TestShard({ topics: { t: 2 }, commitMs: () => 10 })
    const joined = shard.join('x', ['t'])
    shard.crash(0)

    expect((await joined).error).toBe('NOT_COORDINATOR')
    expect(shard.group.isBlank).toBe(true)
  })
})

describe('reconciliation', () => {
  it('G1: gives a partition to its next owner only after the last one said that it let go', async () => {
    const shard = new TestShard({ topics: { t: 2 } })
    await shard.join('x', ['t'])

    const y = await shard.join('y', ['t'])
    expect(y.memberEpoch).toBe(2)
    expect(assignedBy(y)).toEqual({})
    expect(shard.state.members.get('y')!.state).toBe('unreleased')

    const told = await shard.send({ memberId: 'x', memberEpoch: 1 })
    expect(told.memberEpoch).toBe(1)
    expect(assignedBy(told)).toEqual({ t: [0] })
    expect(shard.state.members.get('x')!.state).toBe('unrevoked')
    expect(shard.state.name).toBe('Reconciling')
    // Not having said what it owns is not having let go, nor is owning it still.
    await shard.send({ memberId: 'x', memberEpoch: 1 })
    await shard.send({ memberId: 'x', memberEpoch: 1, topicPartitions: [own('t', 0, 1)] })
    expect((await shard.send({ memberId: 'y', memberEpoch: 2 })).assignment).toBeNull()

    const freed = await shard.send({ memberId: 'x', memberEpoch: 1, topicPartitions: [own('t', 0)] })
    expect(freed.memberEpoch).toBe(2)
    expect(assignedBy(await shard.send({ memberId: 'y', memberEpoch: 2 }))).toEqual({ t: [1] })
    expect(shard.state.name).toBe('Stable')
  })

  it('takes at once what a member joins without: it has nothing to give up', async () => {
    const { shard } = await pair()
    await shard.join('z', ['t'])

    const again = await shard.join('x', ['t'])

    expect(again.memberEpoch).toBe(3)
    expect(shard.state.members.get('x')!.revoking.size).toBe(0)
  })

  it('CG-7, G8: removes who does not give up in its rebalance timeout, and its partitions go to others', async () => {
    const shard = new TestShard({ topics: { t: 2 } })
    await shard.join('x', ['t'], { rebalanceTimeoutMs: 10_000 })
    await shard.join('y', ['t'])
    await shard.send({ memberId: 'x', memberEpoch: 1 })
    for (let second = 1; second <= 9; second++) {
      await shard.sim.run(second * 1000)
      expect((await shard.send({ memberId: 'x', memberEpoch: 1 })).error).toBe('NONE')
      await shard.send({ memberId: 'y', memberEpoch: 2 })
    }
    await shard.sim.run(10_001)

    const late = { memberId: 'x', memberEpoch: 1, topicPartitions: [own('t', 0)] }
    expect((await shard.send(late)).error).toBe('UNKNOWN_MEMBER_ID')
    expect(assignedBy(await shard.send({ memberId: 'y', memberEpoch: 2 }))).toEqual({ t: [0, 1] })
  })

  it('takes what a member does not subscribe to any more, and does not give it more of that', async () => {
    const shard = new TestShard({ topics: { a: 2, b: 2 } })
    await shard.join('x', ['a', 'b'])

    const told = await shard.send({ memberId: 'x', memberEpoch: 1, subscribedTopicNames: ['b'] })
    expect(assignedBy(told)).toEqual({ b: [0, 1] })
    expect(told.memberEpoch).toBe(1)
    const done = await shard.send({ memberId: 'x', memberEpoch: 1, topicPartitions: [own('b', 0, 1)] })

    expect(done.memberEpoch).toBe(2)
    expect(shard.state.name).toBe('Stable')
  })

  it('follows the assignor that most ask for', async () => {
    const shard = new TestShard({ topics: { a: 2, b: 2 } })
    await shard.join('x', ['a', 'b'], { serverAssignor: 'range' })
    await shard.join('y', ['a', 'b'])

    expect(shard.group.describe().assignorName).toBe('range')
    expect([...shard.state.targets.get('x')!.values()]).toEqual([[0], [0]])
    await shard.send({ memberId: 'x', memberEpoch: 1, serverAssignor: 'uniform' })
    expect(shard.state.epoch).toBe(3)
  })
})

describe('leaving', () => {
  it('frees what the member had, with its records removed in order, and raises the epoch', async () => {
    const { shard, epoch } = await pair()

    const answer = await shard.send({ memberId: 'x', memberEpoch: -1 })

    expect(answer).toMatchObject({ error: 'NONE', memberId: 'x', memberEpoch: -1 })
    expect(shard.lastBatch()).toEqual([
      '-CurrentMemberAssignment x',
      '-TargetAssignmentMember x',
      '-MemberMetadata x',
      'Metadata',
    ])
    expect(shard.state.name).toBe('Assigning')
    expect(assignedBy(await shard.send({ memberId: 'y', memberEpoch: epoch }))).toEqual({ t: [0, 1, 2, 3] })
  })

  it('of the last one makes the group empty, since now, also for who loads it later', async () => {
    const shard = new TestShard({ topics: { t: 1 } })
    await shard.join('x', ['t'])
    await shard.sim.run(1234)
    await shard.send({ memberId: 'x', memberEpoch: -1 })
    const sinceMs = shard.clock.wallTimeMs()
    await shard.sim.run(9999)
    shard.crash()

    expect(shard.group).toMatchObject({
      stateName: 'Empty',
      isEmpty: true,
      isBlank: false,
      emptySinceMs: sinceMs,
    })
    expect(shard.group.findDeleteFault()).toBeNull()
    for (const record of shard.group.tombstones()) shard.group.replay(record as never)
    expect(shard.group.isBlank).toBe(true)
  })

  it('CG-4: without a word is found when the session ends, and the member learns it before it can commit', async () => {
    const { shard, epoch } = await pair()
    await shard.sim.run(SESSION_MS - 1000)
    await shard.send({ memberId: 'y', memberEpoch: epoch })
    await shard.sim.run(SESSION_MS + 1)

    const x = { memberId: 'x', groupInstanceId: null, generationIdOrMemberEpoch: epoch }
    expect(shard.group.findCommitFault(x, 9, false)).toBe('UNKNOWN_MEMBER_ID')
    expect((await shard.send({ memberId: 'x', memberEpoch: epoch })).error).toBe('UNKNOWN_MEMBER_ID')
    expect(assignedBy(await shard.send({ memberId: 'y', memberEpoch: epoch }))).toEqual({ t: [0, 1, 2, 3] })
  })

  it('without a word is tried again when the log refuses the removal', async () => {
    const { shard, epoch } = await pair()
    shard.isRefusing = true
    await shard.sim.run(SESSION_MS + 500)
    expect(shard.state.members.size).toBe(2)
    shard.isRefusing = false
    await shard.send({ memberId: 'y', memberEpoch: epoch })
    await shard.sim.run(SESSION_MS + 1500)

    expect([...shard.state.members.keys()]).toEqual(['y'])
  })

  it('is not assumed of members whose heartbeats lay unread while the broker stood still', async () => {
    const { shard, epoch } = await pair()
    shard.sim.node('coordinator').pause()
    await shard.sim.run(2 * SESSION_MS)
    shard.sim.node('coordinator').resume()
    await shard.sim.run(2 * SESSION_MS + 100)
    expect((await shard.send({ memberId: 'x', memberEpoch: epoch })).error).toBe('NONE')
    await shard.sim.run(2 * SESSION_MS + 5_000)

    expect([...shard.state.members.keys()]).toEqual(['x'])
  })
})

describe('static members', () => {
  it('leave for a while, and come back under another member id with what they had', async () => {
    const shard = new TestShard({ topics: { t: 2 } })
    await shard.join('x1', ['t'], { instanceId: 'i' })
    const away = await shard.send({ memberId: 'x1', memberEpoch: -2, instanceId: 'i' })
    expect(away).toMatchObject({ error: 'NONE', memberEpoch: -2 })

    const back = await shard.join('x2', ['t'], { instanceId: 'i' })

    expect(back).toMatchObject({ error: 'NONE', memberId: 'x2', memberEpoch: 1 })
    expect(assignedBy(back)).toEqual({ t: [0, 1] })
    expect(shard.lastBatch()).toEqual([
      '-CurrentMemberAssignment x1',
      '-TargetAssignmentMember x1',
      '-MemberMetadata x1',
      'MemberMetadata x2',
      'TargetAssignmentMember x2',
      'CurrentMemberAssignment x2',
    ])
    expect([...shard.state.members.keys()]).toEqual(['x2'])
    const old = { memberId: 'x1', memberEpoch: 1, instanceId: 'i' }
    expect((await shard.send(old)).error).toBe('FENCED_INSTANCE_ID')
    expect((await shard.send({ ...old, memberEpoch: -1 })).error).toBe('FENCED_INSTANCE_ID')
  })

  it('cannot take the place of one that is there, but can ask again themselves', async () => {
    const shard = new TestShard({ topics: { t: 2 } })
    await shard.join('x1', ['t'], { instanceId: 'i' })

    expect((await shard.join('x2', ['t'], { instanceId: 'i' })).error).toBe('UNRELEASED_INSTANCE_ID')
    expect((await shard.join('x1', ['t'], { instanceId: 'i' })).error).toBe('NONE')
    expect((await shard.send({ memberId: 'x', memberEpoch: 1, instanceId: 'j' })).error).toBe(
      'UNKNOWN_MEMBER_ID',
    )
  })

  it('that stay away longer than their session are removed', async () => {
    const shard = new TestShard({ topics: { t: 2 } })
    await shard.join('x1', ['t'], { instanceId: 'i' })
    await shard.send({ memberId: 'x1', memberEpoch: -2, instanceId: 'i' })
    await shard.sim.run(SESSION_MS + 1)

    expect(shard.group.isEmpty).toBe(true)
    expect((await shard.join('x2', ['t'], { instanceId: 'i' })).memberEpoch).toBe(3)
  })
})

describe('topics that change', () => {
  it('G2: more partitions, a topic made and one deleted raise the epoch with the next heartbeat', async () => {
    const shard = new TestShard({ topics: { a: 1 } })
    await shard.join('x', ['a', 'b'])

    shard.setTopics({ a: 2 })
    expect(assignedBy(await shard.send({ memberId: 'x', memberEpoch: 1 }))).toEqual({ a: [0, 1] })
    shard.setTopics({ a: 2, b: 1 })
    expect(assignedBy(await shard.send({ memberId: 'x', memberEpoch: 2 }))).toEqual({ a: [0, 1], b: [0] })
    shard.setTopics({ b: 1 })
    expect(assignedBy(await shard.send({ memberId: 'x', memberEpoch: 3 }))).toEqual({ b: [0] })
    expect(shard.state.epoch).toBe(4)
  })

  it('a topic made anew under its name is another topic', async () => {
    const shard = new TestShard({ topics: { a: 1 } })
    await shard.join('x', ['a'])

    shard.setTopics({ a: { id: 'another-topic-AAAAAAAA', partitionCount: 1 } })
    const told = await shard.send({ memberId: 'x', memberEpoch: 1 })

    expect(told.assignment?.topicPartitions).toEqual([])
    expect(shard.state.members.get('x')!.state).toBe('unrevoked')
  })

  it('nobody reads change nothing', async () => {
    const shard = new TestShard({ topics: { a: 1 } })
    await shard.join('x', ['a'])
    shard.setTopics({ a: 1, other: 3 })

    await shard.send({ memberId: 'x', memberEpoch: 1 })

    expect(shard.batches.length).toBe(1)
  })

  it('while nobody led the shard are found after the load', async () => {
    const shard = new TestShard({ topics: { a: 1 } })
    await shard.join('x', ['a'])
    shard.setTopics({ a: 3 })
    shard.crash()

    expect(assignedBy(await shard.send({ memberId: 'x', memberEpoch: 1 }))).toEqual({ a: [0, 1, 2] })
  })
})

describe('target assignments that take long', () => {
  it('are paused after, and members who come meanwhile get theirs with the next', async () => {
    // Each look at the clock takes a second, so that an assignment takes one, too.
    let nowMs = 0
    const clock = { ...new TestShard().clock, monotonicMs: () => (nowMs += 1000), wallTimeMs: () => 5 }
    const shard = new TestShard({
      topics: { t: 2 },
      clock: { ...clock, after: () => () => undefined, endOfTurn: () => undefined },
    })
    await shard.join('x', ['t'])

    const y = await shard.join('y', ['t'])
    expect(y).toMatchObject({ error: 'NONE', memberEpoch: 1 })
    expect(shard.state).toMatchObject({ epoch: 2, assignmentEpoch: 1, name: 'Assigning' })
    nowMs += 20_000
    await shard.send({ memberId: 'y', memberEpoch: 1 })

    expect(shard.state).toMatchObject({ epoch: 2, assignmentEpoch: 2 })
    expect(shard.state.members.get('y')!.epoch).toBe(2)
  })
})

describe('offsets', () => {
  it('G3: may be committed and fetched by a member at its present epoch alone', async () => {
    const { shard, epoch } = await pair()
    const commit = (
      memberId: string,
      generationIdOrMemberEpoch: number,
      version = 9,
      isTransactional = false,
    ) =>
      shard.group.findCommitFault(
        { memberId, groupInstanceId: null, generationIdOrMemberEpoch },
        version,
        isTransactional,
      )

    expect(commit('x', epoch)).toBeNull()
    expect(commit('x', epoch - 1)).toBe('STALE_MEMBER_EPOCH')
    expect(commit('x', epoch + 1)).toBe('STALE_MEMBER_EPOCH')
    expect(commit('z', epoch)).toBe('UNKNOWN_MEMBER_ID')
    expect(commit('', -1)).toBe('UNKNOWN_MEMBER_ID')
    expect(commit('x', epoch, 8)).toBe('UNSUPPORTED_VERSION')
    expect(commit('x', epoch, 3, true)).toBeNull()
    expect(commit('', -1, 3, true)).toBeNull()
    expect(shard.group.findFetchFault({ memberId: null, memberEpoch: -1 })).toBeNull()
    expect(shard.group.findFetchFault({ memberId: 'x', memberEpoch: epoch })).toBeNull()
    expect(shard.group.findFetchFault({ memberId: 'x', memberEpoch: 0 })).toBe('STALE_MEMBER_EPOCH')
    expect(shard.group.findFetchFault({ memberId: 'z', memberEpoch: 1 })).toBe('UNKNOWN_MEMBER_ID')
    expect(shard.group.findDeleteFault()).toBe('NON_EMPTY_GROUP')
    expect(shard.group.isSubscribedTo('t')).toBe(true)
    expect(shard.group.isSubscribedTo('u')).toBe(false)
  })

  it('may be committed by anybody while the group is empty', () => {
    const nobody = { memberId: '', groupInstanceId: null, generationIdOrMemberEpoch: -1 }
    expect(new TestShard().group.findCommitFault(nobody, 2, false)).toBeNull()
  })
})

describe('a load', () => {
  it('CG-3: finds the group as it was, and gives its members a whole session and revocation', async () => {
    const shard = new TestShard({ topics: { t: 2 } })
    await shard.join('x', ['t'], { rebalanceTimeoutMs: 10_000 })
    await shard.join('y', ['t'])
    await shard.send({ memberId: 'x', memberEpoch: 1 })
    const before = contentOf(shard.state)
    await shard.sim.run(9_000)

    shard.crash()

    expect(contentOf(shard.state)).toEqual(before)
    await shard.sim.run(18_999)
    expect(shard.state.members.size).toBe(2)
    await shard.sim.run(19_001)
    expect([...shard.state.members.keys()]).toEqual(['y'])
    await shard.sim.run(9_000 + SESSION_MS + 1)
    expect(shard.group.isEmpty).toBe(true)
  })

  it('takes the later record for true where compaction shows two owners for a moment', async () => {
    const { shard } = await pair()
    const records = shard.records.filter(
      ({ kind, key }) =>
        !(kind === 'ConsumerGroupCurrentMemberAssignment' && 'memberId' in key && key.memberId === 'x'),
    )
    const first = shard.records.find(
      ({ kind, key }) =>
        kind === 'ConsumerGroupCurrentMemberAssignment' && 'memberId' in key && key.memberId === 'x',
    )!
    const last = shard.records.findLast(
      ({ kind, key }) =>
        kind === 'ConsumerGroupCurrentMemberAssignment' && 'memberId' in key && key.memberId === 'x',
    )!
    const before = contentOf(shard.state)
    shard.batches = [[first, ...records, last]]
    shard.crash()

    expect(contentOf(shard.state)).toEqual(before)
  })
})

describe('a description', () => {
  it('tells what a member may be using, and what it shall have', async () => {
    const shard = new TestShard({ topics: { t: 2 } })
    await shard.join('x', ['t'], { instanceId: 'i', rackId: 'r' })
    await shard.join('y', ['t'])
    await shard.send({ memberId: 'x', memberEpoch: 1 })

    const described = shard.group.describe()

    expect(described).toMatchObject({
      groupState: 'Reconciling',
      groupEpoch: 2,
      assignmentEpoch: 2,
      assignorName: 'uniform',
    })
    const [x] = described.members
    expect(x).toMatchObject({
      memberId: 'x',
      instanceId: 'i',
      rackId: 'r',
      memberEpoch: 1,
      clientId: 'client',
      memberType: 1,
    })
    expect(x!.assignment.topicPartitions).toEqual([{ ...own('t', 0, 1), topicName: 't' }])
    expect(x!.targetAssignment.topicPartitions).toEqual([{ ...own('t', 0), topicName: 't' }])
  })
})
