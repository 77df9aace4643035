/** The classic group protocol: joins, syncs, heartbeats and leaves, as Kafka's clients know them. */
import { describe, expect, test } from 'vitest'
import { METADATA_BYTES_MAX, PROTOCOLS_MAX } from '../../../../src/coordinator/groups/classic/join-request.ts'
import { ClassicBench, errorOf, subscription, textOf, utf8 } from '../../support/classic-bench.ts'

const DYNAMIC = { apiVersion: 3 }

describe('JoinGroup', () => {
  test('the first member becomes the leader and is told who is there', async () => {
    const bench = new ClassicBench()

    const join = bench.join({ clientId: 'app' })
    await bench.run(5)

    expect(join.answer).toMatchObject({
      errorCode: 0,
      generationId: 1,
      protocolType: 'consumer',
      protocolName: 'range',
      leader: join.answer!.memberId,
      skipAssignment: false,
      members: [{ memberId: join.answer!.memberId, groupInstanceId: null, metadata: subscription('t') }],
    })
    expect(join.answer!.memberId).toMatch(/^app-/)
    expect(bench.group.stateName).toBe('CompletingRebalance')
  })

  test('two clients of one client id are two members', async () => {
    const bench = new ClassicBench()

    const joins = [bench.join(DYNAMIC), bench.join(DYNAMIC)]
    await bench.run(5)

    const ids = joins.map(({ answer }) => answer!.memberId)
    expect(new Set(ids).size).toBe(2)
    const leader = joins.find(({ answer }) => answer!.members.length > 0)!
    expect(leader.answer!.members.map(({ memberId }) => memberId).sort()).toEqual([...ids].sort())
    expect(joins.filter(({ answer }) => answer!.members.length > 0)).toHaveLength(1)
  })

  test.each([0, 1, 2, 3])('v%d joins at once, without an id (KIP-394 is not for it)', async (apiVersion) => {
    const bench = new ClassicBench()

    const join = bench.join({ apiVersion })
    await bench.run(5)

    expect(errorOf(join)).toBe('NONE')
  })

  test('CG-6: from v4 on a newcomer is given its id first, so that a lost answer leaves no ghost', async () => {
    const bench = new ClassicBench()

    const first = bench.join({ apiVersion: 4 })
    await bench.run(5)
    const second = bench.join({ apiVersion: 4, memberId: first.answer!.memberId })
    await bench.run(5)

    expect(errorOf(first)).toBe('MEMBER_ID_REQUIRED')
    expect(second.answer).toMatchObject({ errorCode: 0, memberId: first.answer!.memberId })
  })

  test('a pending id is forgotten after its session time-out, and a round waits for it until then', async () => {
    const bench = new ClassicBench()
    const [a] = await bench.stable([DYNAMIC])
    const pending = bench.join({ apiVersion: 4, sessionMs: 6_000 })
    await bench.run(5)
    bench.join({ ...DYNAMIC }) // begins a round
    const again = bench.join({ memberId: a!, rebalanceMs: 20_000 })

    await bench.run(5_000)
    expect(errorOf(again)).toBe('waits')
    await bench.run(1_100)
    expect(errorOf(again)).toBe('NONE')
    const late = bench.join({ apiVersion: 4, memberId: pending.answer!.memberId })
    await bench.run(5)
    expect(errorOf(late)).toBe('UNKNOWN_MEMBER_ID')
  })

  test('the initial delay gathers members, and goes on while more come', async () => {
    const bench = new ClassicBench({ config: { initialRebalanceDelayMs: 3_000 } })

    const first = bench.join()
    await bench.run(2_000)
    const second = bench.join()
    await bench.run(2_000)
    expect(errorOf(first)).toBe('waits')
    await bench.run(2_100)

    expect([first, second].map(({ answer }) => answer?.generationId)).toEqual([1, 1])
  })

  test('the initial delay ends with the rebalance time-out, however many come', async () => {
    const bench = new ClassicBench({ config: { initialRebalanceDelayMs: 3_000 } })

    const first = bench.join({ rebalanceMs: 7_000 })
    for (let count = 0; count < 4; count++) {
      await bench.run(1_900)
      bench.join({ rebalanceMs: 7_000 })
    }

    expect(errorOf(first)).toBe('NONE')
  })

  test('a late joiner is in the member list that the leader gets', async () => {
    const bench = new ClassicBench()
    const [leader] = await bench.stable([DYNAMIC])

    const late = bench.join(DYNAMIC)
    await bench.run(5)
    expect(errorOf(late)).toBe('waits')
    expect(await bench.heartbeat(leader!, 1)).toBe('REBALANCE_IN_PROGRESS')
    const again = bench.join({ memberId: leader! })
    await bench.run(5)

    expect(again.answer!.leader).toBe(leader)
    expect(again.answer!.members.map(({ memberId }) => memberId)).toContain(late.answer!.memberId)
    expect(late.answer!.generationId).toBe(again.answer!.generationId)
  })

  test('members vote for the protocol among those that all support', async () => {
    const bench = new ClassicBench()
    const m = utf8('')

    const joins = [
      bench.join({ protocols: { sticky: m, range: m, roundrobin: m } }),
      bench.join({ protocols: { roundrobin: m, range: m } }),
      bench.join({ protocols: { roundrobin: m, range: m } }),
    ]
    await bench.run(10)

    expect(joins.map(({ answer }) => answer!.protocolName)).toEqual([
      'roundrobin',
      'roundrobin',
      'roundrobin',
    ])
  })

  test('INCONSISTENT_GROUP_PROTOCOL: another type, nothing in common, or nothing at all', async () => {
    const bench = new ClassicBench()
    await bench.stable([DYNAMIC])

    const joins = [
      bench.join({ protocolType: 'connect' }),
      bench.join({ protocols: { other: utf8('') } }),
      bench.join({ protocols: {} }),
      bench.join({ protocolType: '' }),
    ]
    await bench.run(5)

    expect(joins.map(errorOf)).toEqual(joins.map(() => 'INCONSISTENT_GROUP_PROTOCOL'))
    expect(bench.group.stateName).toBe('Stable')
  })

  test('bounds: session time-outs, number of protocols, bytes of metadata', async () => {
    const bench = new ClassicBench()
    const many = Object.fromEntries(Array.from({ length: PROTOCOLS_MAX + 1 }, (_, i) => [`p${i}`, utf8('')]))

    const joins = [
      bench.join({ sessionMs: 5_999 }),
      bench.join({ sessionMs: 1_800_001 }),
      bench.join({ protocols: many }),
      bench.join({ protocols: { range: new Uint8Array(METADATA_BYTES_MAX + 1) } }),
    ]
    await bench.run(5)

    expect(joins.map(errorOf)).toEqual([
      'INVALID_SESSION_TIMEOUT',
      'INVALID_SESSION_TIMEOUT',
      'INVALID_REQUEST',
      'INVALID_REQUEST',
    ])
  })

  test('GROUP_MAX_SIZE_REACHED: ids that were given out count too, members keep their place', async () => {
    const bench = new ClassicBench({ config: { groupSizeMax: 3 } })
    const [a, b] = await bench.stable([DYNAMIC, DYNAMIC])
    const pending = bench.join({ apiVersion: 4 })
    await bench.run(5)

    const refused = [bench.join(DYNAMIC), bench.join({ apiVersion: 4 })]
    const third = bench.join({ apiVersion: 4, memberId: pending.answer!.memberId })
    const again = [bench.join({ memberId: a! }), bench.join({ memberId: b! })]
    await bench.run(5)

    expect(refused.map(errorOf)).toEqual(['GROUP_MAX_SIZE_REACHED', 'GROUP_MAX_SIZE_REACHED'])
    expect([third, ...again].map(errorOf)).toEqual(['NONE', 'NONE', 'NONE'])
  })

  test('a full group still takes a static member back', async () => {
    const bench = new ClassicBench({ config: { groupSizeMax: 1 } })
    await bench.stable([{ instanceId: 'i', apiVersion: 9 }])

    const back = bench.join({ instanceId: 'i', apiVersion: 9 })
    await bench.run(5)

    expect(errorOf(back)).toBe('NONE')
  })

  test('an unknown id is refused, in an empty group too', async () => {
    const bench = new ClassicBench()

    const join = bench.join({ memberId: 'nobody' })
    await bench.run(1)

    expect(errorOf(join)).toBe('UNKNOWN_MEMBER_ID')
  })

  test('a member that joins again takes the place of its earlier join, which is answered', async () => {
    const bench = new ClassicBench()
    const [a, b] = await bench.stable([DYNAMIC, DYNAMIC])

    const first = bench.join({ memberId: a! })
    const second = bench.join({ memberId: a! })
    await bench.run(5)
    expect([errorOf(first), errorOf(second)]).toEqual(['REBALANCE_IN_PROGRESS', 'waits'])
    bench.join({ memberId: b! })
    await bench.run(5)

    expect(second.answer).toMatchObject({ errorCode: 0, generationId: 2 })
  })

  test('CG-6: a join answer that was lost can be asked for again', async () => {
    const bench = new ClassicBench()
    const joins = [bench.join(DYNAMIC), bench.join(DYNAMIC)]
    await bench.run(5)
    const ids = joins.map(({ answer }) => answer!.memberId)

    const again = ids.map((memberId) => bench.join({ memberId }))
    await bench.run(5)

    expect(again.map(({ answer }) => answer)).toEqual(joins.map(({ answer }) => answer))
    expect(bench.group.stateName).toBe('CompletingRebalance')
  })

  test('in a stable group a follower gets the same generation again, the leader begins a new one', async () => {
    const bench = new ClassicBench()
    const [leader, follower] = await bench.stable([DYNAMIC, DYNAMIC])

    const again = bench.join({ memberId: follower! })
    await bench.run(5)
    expect(again.answer).toMatchObject({ errorCode: 0, generationId: 1, members: [], leader })
    expect(bench.group.stateName).toBe('Stable')
    const anew = bench.join({ memberId: leader! })
    await bench.run(5)

    expect(errorOf(anew)).toBe('waits')
    expect(bench.group.stateName).toBe('PreparingRebalance')
  })

  test('a member that wants other topics begins a round', async () => {
    const bench = new ClassicBench()
    const [, follower] = await bench.stable([DYNAMIC, DYNAMIC])

    bench.join({ memberId: follower!, protocols: { range: subscription('t,u') } })
    await bench.run(5)

    expect(bench.group.stateName).toBe('PreparingRebalance')
  })

  test('who does not rejoin is removed at the rebalance time-out of the slowest', async () => {
    const bench = new ClassicBench()
    const [a, b] = await bench.stable([
      { rebalanceMs: 7_000, sessionMs: 30_000 },
      { rebalanceMs: 9_000, sessionMs: 30_000 },
    ])

    const newcomer = bench.join({ rebalanceMs: 1_000, sessionMs: 30_000 })
    const again = bench.join({ memberId: a!, rebalanceMs: 7_000, sessionMs: 30_000 })
    await bench.run(8_900)
    expect(errorOf(newcomer)).toBe('waits')
    await bench.run(200)

    expect([newcomer, again].map(errorOf)).toEqual(['NONE', 'NONE'])
    expect(await bench.heartbeat(b!, 1)).toBe('UNKNOWN_MEMBER_ID')
  })

  test('the leader is kept while it rejoins, else one of those who did', async () => {
    const bench = new ClassicBench()
    const [leader, b, c] = await bench.stable([DYNAMIC, DYNAMIC, DYNAMIC])

    const joins = [bench.join({ memberId: b!, protocols: { range: subscription('u') } })]
    joins.push(bench.join({ memberId: c! }))
    await bench.run(20_100)

    expect(joins.map(errorOf)).toEqual(['NONE', 'NONE'])
    expect([b, c]).toContain(joins[0]!.answer!.leader)
    expect(joins[0]!.answer!.leader).not.toBe(leader)
  })
})

describe('SyncGroup', () => {
  test('everyone gets what the leader assigned, and who was left out gets nothing', async () => {
    const bench = new ClassicBench()
    const joins = [bench.join(), bench.join(), bench.join()]
    await bench.run(5)
    const leader = joins.find(({ answer }) => answer!.members.length > 0)!.answer!.memberId
    const [b, c] = joins.map(({ answer }) => answer!.memberId).filter((id) => id !== leader)

    const first = bench.sync(b!, 1)
    const ofLeader = bench.sync(leader, 1, { [leader]: 'p0', [b!]: 'p1', invented: 'p2' })
    expect(bench.group.stateName).toBe('CompletingRebalance')
    await bench.run(5)
    const late = bench.sync(c!, 1)
    await bench.run(1)

    expect([ofLeader, first, late].map(textOf)).toEqual(['p0', 'p1', ''])
    expect(late.answer).toMatchObject({ errorCode: 0, protocolType: 'consumer', protocolName: 'range' })
    expect(bench.group.stateName).toBe('Stable')
  })

  test('a sync answer that was lost can be asked for again', async () => {
    const bench = new ClassicBench()
    const [a, b] = await bench.stable([DYNAMIC, DYNAMIC])

    const again = [bench.sync(a!, 1, { [a!]: 'other' }), bench.sync(b!, 1)]
    await bench.run(1)

    expect(again.map(textOf)).toEqual(['p0', 'p1'])
  })

  test('G1: an assignment is not told before it is committed', async () => {
    const bench = new ClassicBench()
    const join = bench.join()
    await bench.run(5)
    const { memberId } = join.answer!
    bench.commitMs = 100

    const sync = bench.sync(memberId, 1, { [memberId]: 'p0' })
    const repeated = bench.sync(memberId, 1, { [memberId]: 'p9' })
    await bench.run(99)
    expect([errorOf(sync), errorOf(repeated)]).toEqual(['REBALANCE_IN_PROGRESS', 'waits'])
    expect(bench.commitFault(memberId, 1)).toBe('REBALANCE_IN_PROGRESS')
    await bench.run(2)

    expect(textOf(repeated)).toBe('p0')
    expect(bench.commitFault(memberId, 1)).toBeNull()
  })

  test('G1: of two assignments that a leader sends, the log has the one that was told', async () => {
    const bench = new ClassicBench()
    const join = bench.join()
    await bench.run(5)
    const { memberId } = join.answer!

    bench.sync(memberId, 1, { [memberId]: 'p0' })
    bench.sync(memberId, 1, { [memberId]: 'p9' })
    await bench.run(5)
    bench.failOver()
    const again = bench.sync(memberId, 1)
    await bench.run(1)

    expect(textOf(again)).toBe('p0')
  })

  test('G1: an assignment that is committed after a new round has begun stabilises nothing', async () => {
    const bench = new ClassicBench()
    const join = bench.join()
    await bench.run(5)
    const { memberId } = join.answer!
    bench.commitMs = 50

    const sync = bench.sync(memberId, 1, { [memberId]: 'p0' })
    bench.join()
    await bench.run(200)

    expect(errorOf(sync)).toBe('REBALANCE_IN_PROGRESS')
    expect(bench.group.stateName).toBe('PreparingRebalance')
    expect(await bench.heartbeat(memberId, 1)).toBe('REBALANCE_IN_PROGRESS')
  })

  test('an assignment that cannot be written fails all who wait, and the group rebalances', async () => {
    const bench = new ClassicBench()
    const joins = [bench.join(), bench.join()]
    await bench.run(5)
    const leader = joins.find(({ answer }) => answer!.members.length > 0)!.answer!.memberId
    const ids = joins.map(({ answer }) => answer!.memberId)
    bench.refusal = 'COORDINATOR_NOT_AVAILABLE'

    const syncs = ids.map((id) => bench.sync(id, 1, id === leader ? { [id]: 'p0' } : {}))
    await bench.run(5)
    expect(syncs.map(errorOf)).toEqual(['COORDINATOR_NOT_AVAILABLE', 'COORDINATOR_NOT_AVAILABLE'])
    expect(bench.group.stateName).toBe('PreparingRebalance')
    const failed = ids.map((memberId) => bench.join({ memberId }))
    await bench.run(5)
    expect(failed.map(errorOf)).toEqual(['COORDINATOR_NOT_AVAILABLE', 'COORDINATOR_NOT_AVAILABLE'])
    bench.refusal = null
    const again = ids.map((memberId) => bench.join({ memberId }))
    await bench.run(5)

    expect(again.map(errorOf)).toEqual(['NONE', 'NONE'])
  })

  test('mid-rebalance a sync gets REBALANCE_IN_PROGRESS, never an empty assignment', async () => {
    const bench = new ClassicBench()
    const joins = [bench.join(), bench.join()]
    await bench.run(5)
    const follower = joins.find(({ answer }) => answer!.members.length === 0)!.answer!.memberId

    const waiting = bench.sync(follower, 1)
    bench.join()
    await bench.run(5)
    const late = bench.sync(follower, 1)
    await bench.run(1)

    expect([waiting, late].map(errorOf)).toEqual(['REBALANCE_IN_PROGRESS', 'REBALANCE_IN_PROGRESS'])
  })

  test('G3: stale generations, unknown members and other protocols are refused', async () => {
    const bench = new ClassicBench()
    const [a] = await bench.stable([DYNAMIC])

    const syncs = [
      bench.sync(a!, 0),
      bench.sync(a!, 2),
      bench.sync('nobody', 1),
      bench.sync(a!, 1, {}, { protocolType: 'connect' }),
      bench.sync(a!, 1, {}, { protocolName: 'sticky' }),
      bench.sync(a!, 1, {}, { protocolType: 'consumer', protocolName: 'range' }),
    ]
    await bench.run(1)

    expect(syncs.map(errorOf)).toEqual([
      'ILLEGAL_GENERATION',
      'ILLEGAL_GENERATION',
      'UNKNOWN_MEMBER_ID',
      'INCONSISTENT_GROUP_PROTOCOL',
      'INCONSISTENT_GROUP_PROTOCOL',
      'NONE',
    ])
  })

  test('who never asks for its assignment is removed at the rebalance time-out', async () => {
    const bench = new ClassicBench()
    const long = { sessionMs: 60_000, rebalanceMs: 8_000 }
    const joins = [bench.join(long), bench.join(long)]
    await bench.run(5)
    const leader = joins.find(({ answer }) => answer!.members.length > 0)!.answer!.memberId
    const silent = joins.find(({ answer }) => answer!.members.length === 0)!.answer!.memberId
    bench.sync(leader, 1, { [leader]: 'p0' })
    await bench.run(5)
    expect(bench.group.stateName).toBe('Stable')

    await bench.run(8_000)

    expect(bench.group.stateName).toBe('PreparingRebalance')
    expect(await bench.heartbeat(silent, 1)).toBe('UNKNOWN_MEMBER_ID')
  })

  test('CG-6: the leader dies between join and sync, and another one assigns', async () => {
    const bench = new ClassicBench()
    const joins = [bench.join(), bench.join(), bench.join()]
    await bench.run(5)
    const leader = joins.find(({ answer }) => answer!.members.length > 0)!.answer!.memberId
    const others = joins.map(({ answer }) => answer!.memberId).filter((id) => id !== leader)

    const waiting = others.map((id) => bench.sync(id, 1))
    await bench.run(10_100)
    expect(waiting.map(errorOf)).toEqual(['REBALANCE_IN_PROGRESS', 'REBALANCE_IN_PROGRESS'])
    const again = others.map((memberId) => bench.join({ memberId }))
    await bench.run(5)

    expect(again.map(({ answer }) => answer!.generationId)).toEqual([2, 2])
    expect(others).toContain(again[0]!.answer!.leader)
    const dead = bench.sync(leader, 1, { [leader]: 'all' })
    await bench.run(5)
    expect(errorOf(dead)).toBe('UNKNOWN_MEMBER_ID')
  })
})

describe('Heartbeat', () => {
  test('keeps a session; CG-4: a member that slept past it is refused everywhere (G3)', async () => {
    const bench = new ClassicBench()
    const [a, sleeper] = await bench.stable([DYNAMIC, DYNAMIC])

    for (let count = 0; count < 9; count++) {
      await bench.run(1_200)
      await bench.heartbeat(a!, 1)
    }

    expect(await bench.heartbeat(sleeper!, 1)).toBe('UNKNOWN_MEMBER_ID')
    expect(bench.commitFault(sleeper!, 1)).toBe('UNKNOWN_MEMBER_ID')
    const sync = bench.sync(sleeper!, 1)
    await bench.run(1)
    expect(errorOf(sync)).toBe('UNKNOWN_MEMBER_ID')
    expect(await bench.heartbeat(a!, 1)).toBe('REBALANCE_IN_PROGRESS')
  })

  test('G3: a stale generation is refused for heartbeat and commit once the next one is told', async () => {
    const bench = new ClassicBench()
    const [a] = await bench.stable([DYNAMIC])
    bench.join({ memberId: a! })
    await bench.run(5)

    expect(await bench.heartbeat(a!, 1)).toBe('ILLEGAL_GENERATION')
    expect(bench.commitFault(a!, 1)).toBe('ILLEGAL_GENERATION')
    expect(await bench.heartbeat(a!, 2)).toBe('NONE')
    expect(await bench.heartbeat(a!, 3)).toBe('ILLEGAL_GENERATION')
  })

  test('a commit keeps a session like a heartbeat', async () => {
    const bench = new ClassicBench()
    const [a] = await bench.stable([DYNAMIC])

    for (let count = 0; count < 3; count++) {
      await bench.run(9_000)
      bench.group.keepAlive(a!)
    }

    expect(bench.group.stateName).toBe('Stable')
  })

  test('a member that waits for its join or sync outlives its session', async () => {
    const bench = new ClassicBench()
    const [a, b] = await bench.stable([
      { sessionMs: 6_000, rebalanceMs: 30_000 },
      { sessionMs: 60_000, rebalanceMs: 30_000 },
    ])
    const join = bench.join({ memberId: a!, sessionMs: 6_000, rebalanceMs: 30_000 })
    await bench.run(20_000)
    const other = bench.join({ memberId: b!, sessionMs: 60_000, rebalanceMs: 30_000 })
    await bench.run(5)

    expect([join, other].map(errorOf)).toEqual(['NONE', 'NONE'])
  })
})

describe('LeaveGroup', () => {
  test('several leave at once, by member id or by instance, with one rebalance for the others', async () => {
    const bench = new ClassicBench()
    const ids = await bench.stable([
      DYNAMIC,
      DYNAMIC,
      { instanceId: 'i', apiVersion: 9 },
      { instanceId: 'j', apiVersion: 9 },
    ])
    const j = bench.group.describe().members.find(({ groupInstanceId }) => groupInstanceId === 'j')!.memberId
    const dynamic = bench.group.describe().members.filter(({ groupInstanceId }) => groupInstanceId === null)

    const errors = await bench.leave(
      { memberId: dynamic[0]!.memberId },
      { instanceId: 'i' },
      { memberId: j, instanceId: 'j' },
      { memberId: 'nobody' },
      { instanceId: 'k' },
      { memberId: 'wrong', instanceId: 'j' },
      { memberId: dynamic[0]!.memberId },
    )

    expect(errors).toEqual([
      'NONE',
      'NONE',
      'NONE',
      'UNKNOWN_MEMBER_ID',
      'UNKNOWN_MEMBER_ID',
      'FENCED_INSTANCE_ID',
      'UNKNOWN_MEMBER_ID',
    ])
    expect(ids).toHaveLength(4)
    expect(bench.group.describe().members.map(({ memberId }) => memberId)).toEqual([dynamic[1]!.memberId])
  })

  test('the last one empties the group, which is written down with the time', async () => {
    const bench = new ClassicBench()
    const [a] = await bench.stable([DYNAMIC])

    await bench.leave({ memberId: a! })
    await bench.run(2)

    expect(bench.group.stateName).toBe('Empty')
    expect(bench.values.at(-1)).toMatchObject({ generation: 2, protocol: null, leader: null, members: [] })
    expect(bench.group.emptySinceMs).toBe(bench.values.at(-1)!.currentStateTimestamp)
    expect(bench.group.findDeleteFault()).toBeNull()
  })

  test('a pending id can leave, so that a round need not wait for it; v0 has one member and one error', async () => {
    const bench = new ClassicBench()
    const [a] = await bench.stable([DYNAMIC])
    const pending = bench.join({ apiVersion: 4 })
    const again = bench.join({ memberId: a! })
    await bench.run(100)
    expect(errorOf(again)).toBe('waits')

    expect(await bench.leave({ memberId: pending.answer!.memberId })).toEqual(['NONE'])
    await bench.run(5)
    expect(errorOf(again)).toBe('NONE')
    const request = { groupId: 'g', memberId: 'nobody', members: [] }
    expect(await bench.group.leave(request, 0)).toMatchObject({ errorCode: 25, members: [] })
  })

  test('who leaves while it waits is answered', async () => {
    const bench = new ClassicBench()
    const [a, b] = await bench.stable([DYNAMIC, DYNAMIC])
    const waiting = bench.join({ memberId: a! })

    await bench.leave({ memberId: a! })
    bench.join({ memberId: b! })
    await bench.run(5)

    expect(errorOf(waiting)).toBe('UNKNOWN_MEMBER_ID')
    expect(bench.group.stateName).toBe('CompletingRebalance')
  })
})

describe('what the group says of itself', () => {
  test('a description has metadata and assignments only while the group is stable', async () => {
    const bench = new ClassicBench()
    const [a] = await bench.stable([{ clientId: 'app' }])
    const stable = bench.group.describe()
    bench.join({ memberId: a! })
    const preparing = bench.group.describe()

    expect(stable).toMatchObject({
      groupState: 'Stable',
      protocolType: 'consumer',
      protocolData: 'range',
      members: [{ memberId: a, clientId: 'app', clientHost: '/10.0.0.1', memberMetadata: subscription('t') }],
    })
    expect(stable.members[0]!.memberAssignment).toEqual(utf8('p0'))
    expect(preparing).toMatchObject({ groupState: 'PreparingRebalance', protocolData: '' })
    expect(preparing.members[0]!.memberMetadata).toHaveLength(0)
  })

  test('G7: it knows what its members read; what it cannot read counts as everything', async () => {
    const bench = new ClassicBench()
    expect(bench.group.isSubscribedTo('t')).toBe(false)
    const [a] = await bench.stable([{ protocols: { range: subscription('t,u') } }])

    expect(['t', 'u', 'v'].map((topic) => bench.group.isSubscribedTo(topic))).toEqual([true, true, false])
    bench.join({ memberId: a!, protocols: { range: subscription('v') } })
    expect(['t', 'v'].map((topic) => bench.group.isSubscribedTo(topic))).toEqual([false, true])
    bench.join({ memberId: a!, protocols: { range: utf8('?') } })
    expect(bench.group.isSubscribedTo('anything')).toBe(true)
  })

  test('commits: of tools while it is empty, of members in their generation, of nobody else', async () => {
    const bench = new ClassicBench()
    expect(bench.commitFault('', -1)).toBeNull()
    const [a] = await bench.stable([DYNAMIC])

    expect(bench.commitFault('', -1)).toBe('UNKNOWN_MEMBER_ID')
    expect(bench.commitFault(a!, 1)).toBeNull()
    expect(bench.commitFault(a!, -1)).toBe('ILLEGAL_GENERATION')
    expect(bench.commitFault('nobody', 1)).toBe('UNKNOWN_MEMBER_ID')
    expect(bench.group.findDeleteFault()).toBe('NON_EMPTY_GROUP')
  })

  test('close() answers all who wait, and leaves no timer behind', async () => {
    const bench = new ClassicBench()
    const [a, b] = await bench.stable([DYNAMIC, DYNAMIC])
    const join = bench.join({ memberId: a! })
    const events = bench.simulation.eventCount

    bench.group.close('NOT_COORDINATOR')
    await bench.run(100_000)

    expect(errorOf(join)).toBe('NOT_COORDINATOR')
    expect(await bench.heartbeat(b!, 1)).toBe('NOT_COORDINATOR')
    const late = bench.join()
    await bench.run(1)
    expect(errorOf(late)).toBe('NOT_COORDINATOR')
    expect(bench.simulation.eventCount).toBe(events)
    expect(bench.group.stateName).toBe('Dead')
  })
})
