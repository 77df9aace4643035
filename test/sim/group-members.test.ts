/**
 * Groups of the project's own consumers in a cluster of three (docs/faults.md G1 to G8, CG-3 to CG-8): members and coordinators
 * die, stand still, are cut off and come back, while records are written. What must hold always is judged by GroupHistory; what
 * must have become of it all, by GroupLoad at the end.
 */
import { describe, expect, it } from 'vitest'
import { logName } from './support/cluster-clients.ts'
import { GROUP_SESSION_MS } from './support/group-members.ts'
import type { GroupMember } from './support/group-members.ts'
import { GroupWorld } from './support/group-world.ts'
import { SESSION_MS } from './support/sim-cluster.ts'
import type { Death } from './support/sim-cluster.ts'

const owned = ({ consumer }: GroupMember): string[] => consumer.assignment.map(logName).sort()
const countOf = ({ history }: GroupWorld, what: string): number => history.counts.get(what) ?? 0

describe('A group of own consumers', () => {
  it.each<Death>(['close', 'crash', 'power cut'])(
    'G1, G4, G5: goes on where it was after the %s of its coordinator, and nobody moves',
    async (how) => {
      const world = await GroupWorld.begin(`coordinator ${how}`)
      const members = [
        world.join('m1', { commit: 'manual' }),
        world.join('m2'),
        world.join('m3', { mode: 'run' }),
      ]
      await world.settled()
      await world.handled(30)
      const before = [members.map(owned), countOf(world, 'assigned')]
      const host = await world.coordinator()

      void world.cluster.end(host, how)
      await world.handled(150)
      void world.cluster.revive(host)
      await world.cluster.untilWhole()
      await world.handled(30)

      expect([members.map(owned), countOf(world, 'assigned')]).toEqual(before)
      await world.end()
    },
  )

  it('G2, G8: gives the partitions of one that died to the others, within its session and a heartbeat', async () => {
    const world = await GroupWorld.begin('crash')
    const [first] = [
      world.join('m1'),
      world.join('m2', { mode: 'run' }),
      world.join('m3', { commit: 'manual' }),
    ]
    await world.settled()
    await world.handled(50)
    first.crash()
    await world.settled(GROUP_SESSION_MS + 1000)
    await world.end()
  })

  it('G2, G8: finds out the dead although their coordinator died with them', async () => {
    const world = await GroupWorld.begin('both die')
    const [first] = [world.join('m1'), world.join('m2')]
    await world.settled()
    const host = await world.coordinator()
    first.crash()
    world.cluster.kill(host, 'crash')
    await world.settled(GROUP_SESSION_MS + 3 * SESSION_MS)
    void world.cluster.revive(host)
    await world.end()
  })

  it('S6: is at rest as long as nothing happens', async () => {
    const world = await GroupWorld.begin('rest')
    for (const name of ['m1', 'm2', 'm3']) world.join(name)
    await world.settled()
    const before = countOf(world, 'assigned')
    await world.cluster.pass(4 * GROUP_SESSION_MS)
    expect([countOf(world, 'assigned'), countOf(world, 'lost')]).toEqual([before, 0])
    await world.end()
  })

  it('CG-3, G3: is led by one coordinator of two that believe to be it', async () => {
    const world = await GroupWorld.begin('two coordinators')
    const members = ['m1', 'm2', 'm3'].map((name) => world.join(name, { commit: 'manual' }))
    await world.settled()
    await world.handled(30)
    const host = await world.coordinator()
    // It still hears all members, and they it; the other brokers have a new one soon, which a newcomer finds.
    world.isolate(host)
    await world.cluster.pass(2 * SESSION_MS)
    members.push(world.join('m4', { commit: 'manual' }))
    world.cluster.simulation.network.partition(['m4'], [host.name])
    await world.handled(150)
    await world.settled(3 * GROUP_SESSION_MS)
    expect(members.map((member) => owned(member).length)).toEqual([1, 1, 1, 1])
    await world.end()
  })

  it('CG-4, G3: refuses what one that stood still past its session commits when it goes on', async () => {
    const world = await GroupWorld.begin('SIGSTOP')
    const still = world.join('m1', { commit: 'manual', commitEvery: 1, handlingMs: [5, 5] })
    world.join('m2', { commit: 'manual' })
    await world.settled()
    await world.handled(30)
    // What it has in hand is done when it goes on, and committed before it has heard anything.
    await world.cluster.run(() => still.inHand === 1)
    still.pause(2 * GROUP_SESSION_MS)
    await world.cluster.run(() => countOf(world, 'taken from one that did not know') === 2)
    await world.handled(50)
    await world.cluster.run(() => !still.node.isPaused)
    await world.settled()

    expect(countOf(world, 'commit: CLIENT_NOT_A_MEMBER')).toBeGreaterThan(0)
    expect(countOf(world, 'lost')).toBe(2)
    expect(owned(still)).toHaveLength(2)
    await world.end()
  })

  it('CG-5, G7, S8: keeps its offsets when clocks jump by years, with members and without', async () => {
    const world = await GroupWorld.begin('clock', {
      settings: { 'offsets.retention.minutes': '60', 'offsets.retention.check.interval.ms': '500' },
    })
    const member = world.join('m1', { commit: 'manual', commitEvery: 1 })
    await world.settled()
    await world.handled(40)
    const years = 3 * 365 * 86_400_000
    for (const { node } of world.cluster.hosts) node.time.jumpWall(years)
    await world.cluster.pass(3000)
    await world.handled(20)
    await world.cluster.run(world.leave(member))
    const committed = await world.committed()
    for (const { node } of world.cluster.hosts) node.time.jumpWall(-2 * years)
    await world.cluster.pass(3000)
    expect(await world.committed()).toEqual(committed)
    await world.end()
  })

  it('CG-6: lets a static member wait for its old self to be gone, and gives it what that one had', async () => {
    const world = await GroupWorld.begin('static')
    const [old] = [world.join('m1', { instanceId: 'one' }), world.join('m2', { instanceId: 'two' })]
    await world.settled()
    await world.handled(20)
    old.crash()
    world.join('m3', { instanceId: 'one' })
    await world.settled(2 * GROUP_SESSION_MS)
    await world.end()
  })

  it('CG-6: of two static members of one name the later is served once the former went, which then learns that it is out', async () => {
    const world = await GroupWorld.begin('twins')
    const former = world.join('m1', { instanceId: 'one', mayFail: true })
    await world.settled()
    former.pause(3 * GROUP_SESSION_MS)
    const later = world.join('m2', { instanceId: 'one' })
    await world.cluster.run(() => owned(later).length === 4)
    await world.cluster.run(() => former.failure !== null)
    expect(former.failure).toMatchObject({ code: expect.stringMatching(/INSTANCE|RELEASED/) as string })
    await world.settled()
    await world.end()
  })

  it('CG-7, G1: waits for one that is slow to give back, and for one that dies meanwhile', async () => {
    const world = await GroupWorld.begin('slow revoker', { partitions: 2 })
    const slow = world.join('m1')
    await world.settled()
    slow.slowness = 10_000
    await world.handled(1)
    await world.cluster.pass(2000)
    const second = world.join('m2', { mode: 'run' })
    await world.cluster.pass(3000)
    // One of the two is in hand and may be the one that is to go.
    expect(owned(slow).length + owned(second).length).toBe(2)
    slow.crash()
    await world.settled(GROUP_SESSION_MS + 1000)
    expect(owned(second)).toHaveLength(2)
    await world.end()
  })

  it('CG-7: puts out one that gives nothing back within its limit, which learns it before it commits', async () => {
    const world = await GroupWorld.begin('too slow', { partitions: 2 })
    const slow = world.join('m1', { handlerTimeoutMs: 2000, commit: 'manual', commitEvery: 1 })
    await world.settled()
    slow.slowness = 2000
    await world.handled(1)
    const second = world.join('m2')
    await world.cluster.run(() => owned(second).length === 2)
    expect(owned(slow)).toEqual([])
    slow.slowness = 1
    await world.settled()
    expect(owned(slow)).toHaveLength(1)
    await world.end()
  })

  it('CG-7, CG-8: survives answers that are lost on the way, one direction at a time', async () => {
    const world = await GroupWorld.begin('lost answers')
    const members = ['m1', 'm2', 'm3'].map((name) => world.join(name, { commit: 'manual', commitEvery: 1 }))
    const { network } = world.cluster.simulation
    for (const { name } of members) {
      const host = await world.coordinator()
      network.clog(host.name, name, 1500)
      await world.cluster.pass(300)
      network.reset(host.name, name)
      world.join(`${name} too`)
      await world.handled(20)
      network.cut(host.name, name)
      await world.cluster.pass(2500)
      network.heal()
    }
    await world.settled(2 * GROUP_SESSION_MS)
    await world.end()
  })

  it('G3, G4: one that is cut off from all loses what it has, and is back with what it is given when it can be', async () => {
    const world = await GroupWorld.begin('cut off')
    const away = world.join('m1', { mode: 'run' })
    world.join('m2', { commit: 'manual' })
    await world.settled()
    world.cutOff('m1')
    await world.cluster.run(() => countOf(world, 'taken from one that did not know') === 2)
    await world.handled(40)
    world.cluster.simulation.network.heal()
    await world.settled()
    expect(owned(away)).toHaveLength(2)
    await world.end()
  })
})
