/** Static members of classic groups (KIP-345, KIP-814): processes that come back into their place, and their twins. */
import { describe, expect, test } from 'vitest'
import { ClassicBench, errorOf, subscription, textOf, utf8 } from '../../support/classic-bench.ts'

const I = { instanceId: 'i', apiVersion: 9 }
const J = { instanceId: 'j', apiVersion: 9 }

/** A stable group of two static members; which of them leads is told by its instance id. */
async function pair(bench: ClassicBench): Promise<{ leader: string; follower: string; leaderIsI: boolean }> {
  const [leader, follower] = await bench.stable([I, J])
  return { leader: leader!, follower: follower!, leaderIsI: leader!.startsWith('i-') }
}

describe('A static member that comes back', () => {
  test('keeps its assignment under a new id, and nobody else notices', async () => {
    const bench = new ClassicBench()
    const { leader, follower, leaderIsI } = await pair(bench)
    const instanceId = leaderIsI ? 'j' : 'i'

    const back = bench.join({ instanceId, apiVersion: 9 })
    await bench.run(5)
    const { memberId } = back.answer!
    const sync = bench.sync(memberId, 1, {}, { instanceId })
    await bench.run(1)

    expect(back.answer).toMatchObject({ errorCode: 0, generationId: 1, leader, members: [] })
    expect(memberId).not.toBe(follower)
    expect(textOf(sync)).toBe('p1')
    expect(bench.group.stateName).toBe('Stable')
    expect(bench.values.at(-1)!.members.map((member) => member.memberId)).toContain(memberId)
  })

  test('G3, CG-6: its old twin is fenced in all it does', async () => {
    const bench = new ClassicBench()
    const { follower, leaderIsI } = await pair(bench)
    const instanceId = leaderIsI ? 'j' : 'i'
    bench.join({ instanceId, apiVersion: 9 })
    await bench.run(5)

    const join = bench.join({ memberId: follower, instanceId, apiVersion: 9 })
    const sync = bench.sync(follower, 1, {}, { instanceId })
    await bench.run(1)

    expect([join, sync].map(errorOf)).toEqual(['FENCED_INSTANCE_ID', 'FENCED_INSTANCE_ID'])
    expect(await bench.heartbeat(follower, 1, instanceId)).toBe('FENCED_INSTANCE_ID')
    expect(bench.commitFault(follower, 1, instanceId)).toBe('FENCED_INSTANCE_ID')
    expect(bench.commitFault(follower, 1)).toBe('UNKNOWN_MEMBER_ID')
    expect(await bench.leave({ memberId: follower, instanceId })).toEqual(['FENCED_INSTANCE_ID'])
  })

  test('the join of a twin that waits is answered when another one takes its place', async () => {
    const bench = new ClassicBench()
    const { leader, leaderIsI } = await pair(bench)
    const instanceId = leaderIsI ? 'i' : 'j'
    const waiting = bench.join({ memberId: leader, instanceId, apiVersion: 9 })

    const twin = bench.join({ instanceId, apiVersion: 9 })
    await bench.run(5)

    expect(waiting.answer).toMatchObject({ memberId: leader })
    expect([waiting, twin].map(errorOf)).toEqual(['FENCED_INSTANCE_ID', 'waits'])
  })

  test.each([
    [9, true],
    [8, false],
  ])('a leader that comes back need not assign, v%d (skipAssignment %s)', async (apiVersion, skips) => {
    const bench = new ClassicBench()
    const { leader, leaderIsI } = await pair(bench)

    const back = bench.join({ instanceId: leaderIsI ? 'i' : 'j', apiVersion })
    await bench.run(5)

    const { memberId } = back.answer!
    expect(back.answer).toMatchObject({ errorCode: 0, generationId: 1, skipAssignment: skips })
    expect(back.answer!.leader).toBe(skips ? memberId : leader)
    expect(back.answer!.members).toHaveLength(skips ? 2 : 0)
    expect(bench.values.at(-1)!.leader).toBe(memberId)
  })

  test('a new subscription makes all join again; partitions it owned before do not', async () => {
    const bench = new ClassicBench()
    await pair(bench)

    bench.join({ ...I, protocols: { range: subscription('t', 'owned') } })
    await bench.run(5)
    expect(bench.group.stateName).toBe('Stable')
    const changed = bench.join({ ...I, protocols: { range: subscription('t,u') } })
    await bench.run(5)

    expect(errorOf(changed)).toBe('waits')
    expect(bench.group.stateName).toBe('PreparingRebalance')
  })

  test('a protocol that is not a consumer’s is compared byte by byte', async () => {
    const bench = new ClassicBench()
    const worker = { ...I, protocolType: 'connect', protocols: { sessioned: utf8('a') } }
    await bench.stable([worker])

    bench.join(worker)
    await bench.run(5)
    expect(bench.group.stateName).toBe('Stable')
    const changed = bench.join({ ...worker, protocols: { sessioned: utf8('b') } })
    await bench.run(5)

    expect(changed.answer!.generationId).toBe(2)
  })

  test('CG-6: a static member that comes back while the leader assigns begins a new round', async () => {
    const bench = new ClassicBench()
    const joins = [bench.join(I), bench.join(J)]
    await bench.run(5)
    const leader = joins.find(({ answer }) => answer!.members.length > 0)!
    const follower = joins.find(({ answer }) => answer!.members.length === 0)!
    const instanceId = follower === joins[0] ? 'i' : 'j'

    const back = bench.join({ instanceId, apiVersion: 9 })
    const late = bench.sync(leader.answer!.memberId, 1, { [follower.answer!.memberId]: 'all' })
    await bench.run(5)

    expect(errorOf(late)).toBe('REBALANCE_IN_PROGRESS')
    expect(errorOf(back)).toBe('waits')
  })

  test('CG-6: join answers that are lost again and again leave one member of the instance', async () => {
    const bench = new ClassicBench()
    await pair(bench)

    for (let count = 0; count < 10; count++) bench.join(I)
    await bench.run(10)
    const last = bench.join(I)
    await bench.run(10)

    expect(errorOf(last)).toBe('NONE')
    expect(bench.group.describe().members).toHaveLength(2)
    expect(bench.values.at(-1)!.members.map(({ memberId }) => memberId)).toContain(last.answer!.memberId)
  })

  test('a thousand that restart at once share a few records (CG-10)', async () => {
    const bench = new ClassicBench()
    const members = Array.from({ length: 1_000 }, (_, index) => ({ instanceId: `i${index}`, apiVersion: 9 }))
    await bench.stable(members)
    const { writeCount } = bench

    const backs = members.map((options) => bench.join(options))
    await bench.run(20)

    expect(backs.every((back) => errorOf(back) === 'NONE')).toBe(true)
    expect(bench.group.stateName).toBe('Stable')
    expect(bench.writeCount - writeCount).toBeLessThanOrEqual(3)
  })

  test('a take-over that cannot be written is answered with the error, and works when asked for again', async () => {
    const bench = new ClassicBench()
    const { leaderIsI } = await pair(bench)
    const options = leaderIsI ? J : I
    bench.refusal = 'COORDINATOR_NOT_AVAILABLE'

    const failed = bench.join(options)
    await bench.run(5)
    bench.refusal = null
    const back = bench.join(options)
    await bench.run(5)
    const sync = bench.sync(back.answer!.memberId, 1, {}, { instanceId: options.instanceId })
    await bench.run(1)

    expect(errorOf(failed)).toBe('COORDINATOR_NOT_AVAILABLE')
    expect(textOf(sync)).toBe('p1')
  })

  test('a round that begins while a take-over is written takes its join along', async () => {
    const bench = new ClassicBench()
    const { leader, leaderIsI } = await pair(bench)
    bench.commitMs = 50

    const back = bench.join(leaderIsI ? J : I)
    await bench.run(10)
    const other = bench.join({ memberId: leader, instanceId: leaderIsI ? 'i' : 'j', apiVersion: 9 })
    await bench.run(200)

    expect([back, other].map(({ answer }) => answer?.generationId)).toEqual([2, 2])
  })
})

describe('A static member that is away', () => {
  test('keeps its place over a round until its session ends, and owes no sync', async () => {
    const bench = new ClassicBench()
    const slow = { sessionMs: 40_000, rebalanceMs: 8_000 }
    const [leader, away] = await bench.stable([
      { ...I, ...slow },
      { ...J, ...slow },
    ])
    const instanceId = leader!.startsWith('i-') ? 'i' : 'j'

    const join = bench.join({ memberId: leader!, instanceId, apiVersion: 9, ...slow })
    await bench.run(8_100)
    expect(join.answer!.members.map(({ memberId }) => memberId)).toContain(away)
    bench.sync(leader!, 2, { [leader!]: 'p0', [away!]: 'p1' }, { instanceId })
    for (let count = 0; count < 3; count++) {
      await bench.run(9_000)
      await bench.heartbeat(leader!, 2, instanceId)
    }
    expect(bench.group.stateName).toBe('Stable')
    await bench.run(5_000)

    expect(bench.group.stateName).toBe('PreparingRebalance')
    expect(bench.commitFault(away!, 2)).toBe('UNKNOWN_MEMBER_ID')
  })

  test('a round that nobody joins goes on until the sessions end, without a busy loop', async () => {
    const bench = new ClassicBench()
    const options = { ...I, sessionMs: 30_000, rebalanceMs: 0 }
    const [a] = await bench.stable([{ ...options }, { apiVersion: 3, sessionMs: 6_000, rebalanceMs: 0 }])
    expect(a).toBeDefined()
    const { timerCount } = bench

    await bench.run(60_000)

    expect(bench.group.stateName).toBe('Empty')
    expect(bench.timerCount - timerCount).toBeLessThan(60)
  })
})
