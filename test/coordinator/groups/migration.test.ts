/** Groups that change their protocol while members are online (KIP-848), and G1 on the way (docs/faults.md). */
import { describe, expect, test } from 'vitest'
import { writeAssignment } from '../../../src/coordinator/groups/classic/consumer-protocol.ts'
import { idOf } from '../support/topics-image.ts'
import { assignmentOf, subscriptionWith } from '../support/classic-words.ts'
import { TestShard, client, joinRequest, nameOf } from '../support/test-shard.ts'

const GROUP = 'g'
const SESSION_MS = 10_000
const REBALANCE_MS = 20_000

type Owned = Record<string, readonly number[]>

/** A member that speaks the classic protocol, request by request. */
class Classic {
  readonly #world: TestShard
  readonly #instanceId: string | null
  memberId = ''
  generation = -1
  leads = false

  constructor(world: TestShard, instanceId: string | null = null) {
    this.#world = world
    this.#instanceId = instanceId
  }

  ask(owned: Owned = {}, topics = ['orders'], protocol = 'range') {
    const protocols = [{ name: protocol, metadata: subscriptionWith(topics, owned) }]
    const { memberId } = this
    const request = { ...joinRequest(GROUP), protocols, memberId, groupInstanceId: this.#instanceId }
    return this.#world.shard.joinGroup(request, client(9))
  }

  async join(owned: Owned = {}, topics = ['orders'], protocol = 'range'): Promise<string> {
    let answer = await this.#world.settle(this.ask(owned, topics, protocol))
    if (nameOf(answer) === 'MEMBER_ID_REQUIRED') {
      this.memberId = answer.memberId
      answer = await this.#world.settle(this.ask(owned, topics, protocol))
    }
    if (nameOf(answer) !== 'NONE') return nameOf(answer)
    this.memberId = answer.memberId
    this.generation = answer.generationId
    this.leads = answer.leader === answer.memberId
    return 'NONE'
  }

  async sync(assignments: Record<string, Owned> = {}): Promise<Owned | string> {
    const { memberId, generation } = this
    const request = { groupId: GROUP, memberId, generationId: generation, groupInstanceId: this.#instanceId }
    const said = Object.entries(assignments).map(([id, owned]) => ({
      memberId: id,
      assignment: writeAssignment(
        Object.entries(owned).map(([topic, partitions]) => ({ topic, partitions })),
      ),
    }))
    const answer = await this.#world.settle(
      this.#world.shard.syncGroup(
        { ...request, assignments: said, protocolName: null, protocolType: null },
        client(5),
      ),
    )
    return nameOf(answer) === 'NONE' ? assignmentOf(answer.assignment) : nameOf(answer)
  }

  async beat(): Promise<string> {
    const { memberId, generation } = this
    return nameOf(
      await this.#world.settle(
        this.#world.shard.heartbeat({
          ...{ groupId: GROUP, memberId, generationId: generation, groupInstanceId: this.#instanceId },
        }),
      ),
    )
  }

  commit(offset: number, partition = 0) {
    const { memberId, generation } = this
    return this.#world.commitOffset(GROUP, offset, { memberId, generation, partition })
  }

  async leave() {
    return (await this.#world.leaveClassic(GROUP, this.memberId)).members.map(nameOf)
  }
}

/** What a heartbeat assigns of `orders`; null when it does not say. */
async function beat(world: TestShard, memberId: string, epoch: number, owned: readonly number[] | null) {
  const answer = await world.consumerHeartbeat(GROUP, memberId, {
    ...{ memberEpoch: epoch, subscribedTopicNames: epoch === 0 ? ['orders'] : null },
    rebalanceTimeoutMs: epoch === 0 ? REBALANCE_MS : -1,
    topicPartitions:
      owned === null ? null : owned.length === 0 ? [] : [{ topicId: idOf('orders'), partitions: [...owned] }],
  })
  const partitions = answer.assignment?.topicPartitions.flatMap((topic) => [...topic.partitions])
  return { error: nameOf(answer), epoch: answer.memberEpoch, partitions: partitions ?? null }
}

/** A stable classic group of one that has all of `orders`. */
async function classicOfOne(world: TestShard): Promise<Classic> {
  const member = new Classic(world)
  await member.join()
  expect(await member.sync({ [member.memberId]: { orders: [0, 1, 2, 3] } })).toEqual({ orders: [0, 1, 2, 3] })
  return member
}

const newWorld = (config: ConstructorParameters<typeof TestShard>[1] = {}) =>
  new TestShard({ orders: 4, visits: 1 }, config)

/** Has the members of both protocols settle; the classic one is eager. */
async function settle(world: TestShard, classic: Classic, memberId: string, epoch: number) {
  await classic.join()
  await classic.sync()
  const answer = await beat(world, memberId, epoch, [])
  return answer
}

describe('upgrade', () => {
  test('G1: a classic member keeps what it has until it joins again, and goes on in its generation', async () => {
    const world = newWorld()
    const classic = await classicOfOne(world)
    const first = await beat(world, 'm', 0, [])
    expect(first).toMatchObject({ error: 'NONE', partitions: [] })
    expect(await world.listed()).toEqual({ [GROUP]: 'consumer Reconciling' })
    expect(await classic.commit(5)).toBe('NONE')
    expect(await beat(world, 'm', first.epoch, null)).toMatchObject({ partitions: null })
    expect(await classic.beat()).toBe('REBALANCE_IN_PROGRESS')
    expect(await classic.commit(6)).toBe('NONE')

    expect(await classic.join()).toBe('NONE')
    expect(classic.leads).toBe(false)
    const kept = (await classic.sync()) as Owned
    expect(kept['orders']).toHaveLength(2)
    const second = await beat(world, 'm', first.epoch, null)
    expect([...kept['orders']!, ...second.partitions!].sort()).toEqual([0, 1, 2, 3])
    expect(await classic.beat()).toBe('NONE')
    expect(await world.listed()).toEqual({ [GROUP]: 'consumer Stable' })
    expect(await world.offsets(GROUP)).toEqual({ 'orders-0': 6 })
    const described = await world.settle(world.shard.consumerGroupDescribe(GROUP))
    expect(described.members.map(({ memberType }) => memberType).sort()).toEqual([0, 1])
  })

  test('G1: a cooperative member keeps what it owns through the round, and what it must give up until it says it has', async () => {
    const world = newWorld()
    const classic = await classicOfOne(world)
    const { epoch } = await beat(world, 'm', 0, [])
    const all = { orders: [0, 1, 2, 3] }
    expect(await classic.join(all)).toBe('NONE')
    const kept = (await classic.sync()) as Owned
    expect(kept['orders']).toHaveLength(2)
    expect(await beat(world, 'm', epoch, null)).toMatchObject({ partitions: null })
    expect(await classic.beat()).toBe('REBALANCE_IN_PROGRESS')
    expect(await beat(world, 'm', epoch, null)).toMatchObject({ partitions: null })
    expect(await classic.join(kept)).toBe('NONE')
    expect(await classic.sync()).toEqual(kept)
    expect((await beat(world, 'm', epoch, null)).partitions).toHaveLength(2)
    expect(await classic.beat()).toBe('NONE')
  })

  test.each(['PreparingRebalance', 'CompletingRebalance'])(
    'G1: in %s those who wait are told to join again, and what they said they own stays theirs',
    async (state) => {
      const world = newWorld()
      const classic = await classicOfOne(world)
      const other = new Classic(world)
      other.memberId = (await world.settle(other.ask())).memberId
      const joining = [other.ask()]
      if (state === 'CompletingRebalance') joining.push(classic.ask({ orders: [1, 2] }))
      await world.runFor(100)
      expect(await world.listed()).toEqual({ [GROUP]: `classic ${state}` })
      const { epoch } = await beat(world, 'm', 0, [])
      const told = await Promise.all(joining)
      expect(told.map(nameOf)).toEqual(
        state === 'CompletingRebalance' ? ['NONE', 'NONE'] : ['REBALANCE_IN_PROGRESS'],
      )
      expect(await other.join()).toBe('NONE')
      const given = [
        ...((await beat(world, 'm', epoch, null)).partitions ?? []),
        ...(((await other.sync()) as Owned)['orders'] ?? []),
      ]
      const held = state === 'CompletingRebalance' ? [1, 2] : [0, 1, 2, 3]
      expect(given.filter((partition) => held.includes(partition))).toEqual([])
    },
  )

  test('is one batch, so that whichever log is left has the one group or the other', async () => {
    const world = newWorld()
    const classic = await classicOfOne(world)
    world.commitsAtOnce = false
    const request = {
      ...{ groupId: GROUP, memberId: 'm', memberEpoch: 0, instanceId: null, rackId: null },
      ...{ rebalanceTimeoutMs: REBALANCE_MS, subscribedTopicNames: ['orders'], subscribedTopicRegex: null },
      ...{ serverAssignor: null, topicPartitions: [] },
    }
    const joining = world.shard.consumerGroupHeartbeat(request, client(1))
    await world.runFor(10)
    world.failOver({ losesUncommitted: true })
    world.commitsAtOnce = true
    expect(nameOf(await joining)).toBe('NOT_COORDINATOR')
    expect(await world.listed()).toEqual({ [GROUP]: 'classic Stable' })
    expect(await classic.beat()).toBe('NONE')
    const { epoch } = await beat(world, 'm', 0, [])
    world.failOver()
    expect(await world.listed()).toEqual({ [GROUP]: 'consumer Reconciling' })
    expect(await classic.beat()).toBe('REBALANCE_IN_PROGRESS')
    world.compact()
    world.failOver()
    expect(await settle(world, classic, 'm', epoch)).toMatchObject({ error: 'NONE' })
    expect(await world.listed()).toEqual({ [GROUP]: 'consumer Stable' })
  })

  test('a classic member may join, and one that is silent, or does not join again in time, is removed', async () => {
    const world = newWorld()
    const { epoch } = await beat(world, 'm', 0, [])
    const [a, b] = [new Classic(world), new Classic(world)]
    expect(await a.join()).toBe('NONE')
    expect(await b.join()).toBe('NONE')
    expect(await a.beat()).toBe('REBALANCE_IN_PROGRESS')
    let isAlive = true
    let heardEpoch = epoch
    for (let passedMs = 0; passedMs < REBALANCE_MS + 1_000; passedMs += 2_000) {
      await world.runFor(2_000)
      const heard = await beat(world, 'm', heardEpoch, [])
      heardEpoch = heard.epoch
      isAlive = (await a.beat()) !== 'UNKNOWN_MEMBER_ID'
      if (passedMs + 2_000 < SESSION_MS) expect(isAlive).toBe(true)
      // b has not synced, and never beats: its session ends first.
    }
    expect(isAlive).toBe(false)
    expect(await b.beat()).toBe('UNKNOWN_MEMBER_ID')
    expect(await b.join()).toBe('UNKNOWN_MEMBER_ID')
    const described = await world.settle(world.shard.consumerGroupDescribe(GROUP))
    expect(described.members).toHaveLength(1)
  })

  test('a static member keeps its place when it comes back, and fences the process before', async () => {
    const world = newWorld()
    await beat(world, 'm', 0, [])
    const before = new Classic(world, 'i')
    await before.join()
    const had = await before.sync()
    const after = new Classic(world, 'i')
    expect(await after.join()).toBe('NONE')
    expect(after.memberId).not.toBe(before.memberId)
    expect(await after.sync()).toEqual(had)
    expect(await before.beat()).toBe('FENCED_INSTANCE_ID')
    expect(await before.join()).toBe('FENCED_INSTANCE_ID')
  })

  test('INCONSISTENT_GROUP_PROTOCOL, ILLEGAL_GENERATION: what does not fit the group is refused, and harms nobody', async () => {
    const world = newWorld()
    await beat(world, 'm', 0, [])
    const classic = new Classic(world)
    expect(await classic.join()).toBe('NONE')
    const stranger = new Classic(world)
    expect(await stranger.join({}, ['orders'], 'sticky')).toBe('INCONSISTENT_GROUP_PROTOCOL')
    const unreadable = [{ name: 'range', metadata: Uint8Array.of(1, 2, 3) }]
    const refused = world.shard.joinGroup({ ...joinRequest(GROUP), protocols: unreadable }, client(9))
    expect(nameOf(await world.settle(refused))).toBe('INCONSISTENT_GROUP_PROTOCOL')
    classic.generation--
    expect(await classic.beat()).toBe('ILLEGAL_GENERATION')
    expect(await classic.sync()).toBe('ILLEGAL_GENERATION')
    expect(await classic.commit(1)).toBe('ILLEGAL_GENERATION')
    expect(await beat(world, classic.memberId, classic.generation + 1, null)).toMatchObject({
      error: 'UNKNOWN_MEMBER_ID',
    })
    const lead = {
      ...joinRequest(GROUP),
      memberId: 'm',
      protocols: [{ name: 'range', metadata: subscriptionWith([]) }],
    }
    expect(nameOf(await world.settle(world.shard.joinGroup(lead, client(9))))).toBe('UNKNOWN_MEMBER_ID')
  })

  test('a group whose members cannot be read stays as it is, and the newcomer is told why', async () => {
    const world = newWorld()
    const { error, memberId, generationId } = await world.joinClassic(GROUP)
    expect(error).toBe('NONE')
    const refused = await world.consumerHeartbeat(GROUP, 'm')
    expect(nameOf(refused)).toBe('GROUP_ID_NOT_FOUND')
    expect(refused.errorMessage).toContain('assignment that is none of consumers')
    expect(await world.listed()).toEqual({ [GROUP]: 'classic Stable' })
    expect(await world.commitOffset(GROUP, 1, { memberId, generation: generationId })).toBe('NONE')
  })

  test.each(['disabled', 'downgrade'] as const)('does not happen with the policy %s', async (policy) => {
    const world = newWorld({ consumerMigrationPolicy: policy })
    await classicOfOne(world)
    expect(await beat(world, 'm', 0, [])).toMatchObject({ error: 'GROUP_ID_NOT_FOUND' })
    expect(await world.listed()).toEqual({ [GROUP]: 'classic Stable' })
  })
})

describe('downgrade', () => {
  /** A group of both kinds of members, settled. */
  async function mixed(config: ConstructorParameters<typeof TestShard>[1] = {}) {
    const world = newWorld(config)
    const classic = await classicOfOne(world)
    const { epoch } = await beat(world, 'm', 0, [])
    await settle(world, classic, 'm', epoch)
    return { world, classic, epoch }
  }

  test.each(['leaves', 'dies'])(
    'when the last member of the consumer protocol %s, the group is classic again and rebalances',
    async (how) => {
      const { world, classic } = await mixed()
      if (how === 'leaves') await beat(world, 'm', -1, null)
      else {
        for (let passedMs = 0; passedMs < 46_000; passedMs += 2_000) {
          await world.runFor(2_000)
          await classic.beat()
        }
      }
      expect(await world.listed()).toEqual({ [GROUP]: 'classic PreparingRebalance' })
      expect(await classic.commit(9)).toBe('NONE')
      expect(await classic.beat()).toBe('REBALANCE_IN_PROGRESS')
      const before = classic.generation
      expect(await classic.join()).toBe('NONE')
      expect(classic.leads).toBe(true)
      expect(classic.generation).toBeGreaterThan(before)
      const all = { orders: [0, 1, 2, 3] }
      expect(await classic.sync({ [classic.memberId]: all })).toEqual(all)
      expect(await world.listed()).toEqual({ [GROUP]: 'classic Stable' })
      expect(world.compacted.map(({ kind }) => kind).sort()).toEqual(['GroupMetadata', 'OffsetCommit'])
    },
  )

  test('survives a crash, and G1: an upgrade before the rebalance is through knows what members have', async () => {
    const { world, classic } = await mixed()
    await beat(world, 'm', -1, null)
    world.failOver()
    expect(await world.listed()).toEqual({ [GROUP]: 'classic PreparingRebalance' })
    const { epoch, partitions } = await beat(world, 'n', 0, [])
    const described = await world.settle(world.shard.consumerGroupDescribe(GROUP))
    const held = described.members
      .find(({ memberId }) => memberId === classic.memberId)!
      .assignment.topicPartitions.flatMap((topic) => [...topic.partitions])
    expect(held).toHaveLength(2)
    expect(partitions!.filter((partition) => held.includes(partition))).toEqual([])
    expect(await settle(world, classic, 'n', epoch)).toMatchObject({ error: 'NONE' })
  })

  test.each(['disabled', 'upgrade'] as const)(
    'does not happen with the policy %s: the group serves its classic members all the same',
    async (policy) => {
      const { world, classic } = await mixed()
      Object.assign(world.config, { consumerMigrationPolicy: policy })
      await beat(world, 'm', -1, null)
      expect(await world.listed()).toEqual({ [GROUP]: 'consumer Assigning' })
      expect(await classic.beat()).toBe('REBALANCE_IN_PROGRESS')
      expect(await classic.join()).toBe('NONE')
      expect(await classic.sync()).toEqual({ orders: [0, 1, 2, 3] })
      expect(await classic.beat()).toBe('NONE')
      // Topics are seen by its heartbeats, since nobody else is there.
      world.setTopics({ orders: 6, visits: 1 })
      expect(await classic.beat()).toBe('REBALANCE_IN_PROGRESS')
      await classic.join()
      expect(await classic.sync()).toEqual({ orders: [0, 1, 2, 3, 4, 5] })
      expect(await classic.leave()).toEqual(['NONE'])
      expect(await world.listed()).toEqual({ [GROUP]: 'consumer Empty' })
    },
  )

  test('a static member that goes back to the classic protocol takes the last of the others along', async () => {
    const world = newWorld()
    const more = { instanceId: 'i', topicPartitions: [] }
    await world.consumerHeartbeat(GROUP, 'm', more)
    const other = new Classic(world)
    await other.join()
    const back = new Classic(world, 'i')
    const joining = back.ask()
    await world.runFor(100)
    expect(await world.listed()).toEqual({ [GROUP]: 'classic PreparingRebalance' })
    expect(await other.join()).toBe('NONE')
    expect(nameOf(await joining)).toBe('NONE')
    expect(nameOf(await world.consumerHeartbeat(GROUP, 'm', { memberEpoch: 1 }))).toBe('GROUP_ID_NOT_FOUND')
  })

  test('ids that newcomers were given are good in either group', async () => {
    const { world } = await mixed()
    const newcomer = new Classic(world)
    newcomer.memberId = (await world.settle(newcomer.ask())).memberId
    await beat(world, 'm', -1, null)
    void newcomer.ask()
    const { epoch } = await beat(world, 'n', 0, [])
    expect(epoch).toBeGreaterThan(0)
    expect(await newcomer.join()).toBe('NONE')
  })
})
