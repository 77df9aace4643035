/** Classic groups when their coordinator moves: what the log keeps, and what nobody may be told twice. */
import { describe, expect, test } from 'vitest'
import { ClassicBench, errorOf, textOf } from '../../support/classic-bench.ts'

describe('A classic group over a fail-over', () => {
  test('a stable group goes on: members, assignments and generation are in the log', async () => {
    const bench = new ClassicBench()
    const [a, b] = await bench.stable([{}, { instanceId: 'i', apiVersion: 9 }])

    bench.failOver()
    const syncs = [bench.sync(a!, 1), bench.sync(b!, 1)]
    await bench.run(1)

    expect(bench.group.stateName).toBe('Stable')
    expect(syncs.map(textOf)).toEqual(['p0', 'p1'])
    expect(await bench.heartbeat(a!, 1)).toBe('NONE')
  })

  test('sessions start anew with the new coordinator, and end', async () => {
    const bench = new ClassicBench()
    const [a] = await bench.stable([{}])
    await bench.run(9_000)

    bench.failOver()
    await bench.run(9_000)
    expect(bench.commitFault(a!, 1)).toBeNull()
    await bench.run(2_000)

    expect(bench.group.stateName).toBe('Empty')
  })

  test('G1: a generation that members were told never means another set of members', async () => {
    const bench = new ClassicBench()
    const [a] = await bench.stable([{}])
    const late = bench.join()
    const again = bench.join({ memberId: a! })
    await bench.run(5)
    expect([late, again].map(({ answer }) => answer!.generationId)).toEqual([2, 2])

    bench.failOver() // between join and sync
    const sync = bench.sync(a!, 2, { [a!]: 'stale' })
    await bench.run(1)
    expect(errorOf(sync)).toBe('REBALANCE_IN_PROGRESS')
    const joins = [a!, late.answer!.memberId].map((memberId) => bench.join({ memberId }))
    await bench.run(5)

    expect(joins.map(({ answer }) => answer!.generationId)).toEqual([3, 3])
  })

  test('G1: a generation is told only when it is committed', async () => {
    const bench = new ClassicBench()
    bench.commitMs = 100
    const join = bench.join()
    await bench.run(50)
    expect(errorOf(join)).toBe('waits')

    bench.failOver(0)
    await bench.run(200)

    expect(errorOf(join)).toBe('NOT_COORDINATOR')
    expect(bench.group.stateName).toBe('Empty')
  })

  test.each([0, 1])('an assignment under way is lost or kept as a whole (%d writes kept)', async (kept) => {
    const bench = new ClassicBench()
    const join = bench.join()
    await bench.run(5)
    const { memberId } = join.answer!
    bench.commitMs = 100
    const sync = bench.sync(memberId, 1, { [memberId]: 'p0' })
    await bench.run(50)

    bench.failOver(kept)
    await bench.run(1)
    const again = bench.sync(memberId, 1)
    await bench.run(1)

    expect(errorOf(sync)).toBe('NOT_COORDINATOR')
    expect(errorOf(again)).toBe(kept === 1 ? 'NONE' : 'REBALANCE_IN_PROGRESS')
    if (kept === 1) expect(textOf(again)).toBe('p0')
  })

  test('CG-3: a coordinator that was replaced tells nothing of state and accepts no heartbeat', async () => {
    const bench = new ClassicBench()
    const [a] = await bench.stable([{}])
    const old = bench.group

    bench.failOver()
    const answer = await old.heartbeat({ groupId: 'g', generationId: 1, memberId: a!, groupInstanceId: null })

    expect(answer.errorCode).toBe(16)
    expect(await bench.heartbeat(a!, 1)).toBe('NONE')
  })

  test('an empty group keeps its generation and the time since it is empty', async () => {
    const bench = new ClassicBench()
    const [a] = await bench.stable([{}])
    await bench.leave({ memberId: a! })
    await bench.run(5)
    const { emptySinceMs } = bench.group
    await bench.run(5_000)

    bench.failOver()
    expect(bench.group.emptySinceMs).toBe(emptySinceMs)
    const join = bench.join()
    await bench.run(5)

    expect(join.answer!.generationId).toBe(3)
  })

  test('a group that was loaded with more members than allowed sheds the last to rejoin', async () => {
    const bench = new ClassicBench()
    const ids = await bench.stable([{}, {}, {}])
    Object.assign(bench.config, { groupSizeMax: 2 })

    bench.failOver()
    const joins = ids.map((memberId) => bench.join({ memberId }))
    await bench.run(5)

    expect(joins.map(errorOf)).toEqual(['NONE', 'NONE', 'GROUP_MAX_SIZE_REACHED'])
  })

  test('the group is removed by one record, if it has any', async () => {
    const bench = new ClassicBench()
    expect(bench.group.tombstones()).toEqual([])
    await bench.stable([{}])

    expect(bench.group.tombstones()).toEqual([{ kind: 'GroupMetadata', key: { group: 'g' }, value: null }])
  })
})

describe('CG-10: a thousand members', () => {
  test('join at once, are assigned, and settle, with few records and one timer', async () => {
    const bench = new ClassicBench()

    const ids = await bench.stable(Array.from({ length: 1_000 }, () => ({})))
    const { timerCount } = bench
    for (let round = 0; round < 5; round++) {
      await bench.run(1_000)
      for (const memberId of ids)
        void bench.group.heartbeat({ groupId: 'g', generationId: 1, memberId, groupInstanceId: null })
    }

    expect(bench.group.describe().members).toHaveLength(1_000)
    expect(bench.writeCount).toBeLessThanOrEqual(3)
    expect(bench.timerCount - timerCount).toBeLessThanOrEqual(2)
  })

  test('that join one after another while each record is committed cost a logarithm of records', async () => {
    const bench = new ClassicBench()

    for (let count = 0; count < 1_000; count++) {
      bench.join()
      await bench.run(0.9)
    }
    await bench.run(2_000)

    expect(bench.group.stateName).toBe('CompletingRebalance')
    expect(bench.group.describe().members).toHaveLength(1_000)
    expect(bench.writeCount).toBeLessThanOrEqual(14)
  })

  test('the cost of joins grows with their number, not with its square', async () => {
    const cost = async (count: number) => {
      const bench = new ClassicBench()
      await bench.stable(Array.from({ length: count }, () => ({})))
      return bench.writtenBytes
    }

    const [small, large] = [await cost(200), await cost(1_600)]

    expect(large / small).toBeLessThan(8.5)
  })

  test('survive a coordinator that is killed every 5 s, and settle', async () => {
    const bench = new ClassicBench()
    let ids = await bench.stable(Array.from({ length: 1_000 }, () => ({})))

    for (let round = 0; round < 3; round++) {
      bench.failOver()
      const joins = ids.map((memberId) => bench.join({ memberId }))
      await bench.run(4_990)
      ids = joins.flatMap(({ answer }) => (answer?.errorCode === 0 ? [answer.memberId] : []))
      expect(ids).toHaveLength(1_000)
    }

    expect(bench.group.describe().members).toHaveLength(1_000)
  })
})
