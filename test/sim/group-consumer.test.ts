/**
 * What a member of a group must not do to its group, nor the group to it, in circumstances that take a network to make
 * (docs/faults.md G1, G4, CG-7, CG-8, CG-9): the project's own consumer on simulated machines.
 */
import { describe, expect, it } from 'vitest'
import { logName } from './support/cluster-clients.ts'
import { GROUP, GROUP_SESSION_MS } from './support/group-members.ts'
import type { GroupMember } from './support/group-members.ts'
import { GroupWorld } from './support/group-world.ts'

const owned = ({ consumer }: GroupMember): string[] => consumer.assignment.map(logName).sort()
const countOf = ({ history }: GroupWorld, what: string): number => history.counts.get(what) ?? 0

describe('A member of a group', () => {
  it('CG-7, G1: names what it has just been given although its listener is not done, so that nobody else gets it', async () => {
    const world = await GroupWorld.begin('slow listener', { partitions: 2 })
    const { clock } = world.cluster.simulation.env('m1')
    const first = world.join('m1', {
      onAssigned: () => new Promise<void>((resolve) => void clock.after(5000, resolve)),
    })
    await world.cluster.run(() => owned(first).length === 2)
    world.join('m2')
    // Its next heartbeat has no answer; the one after that tells everything again.
    const host = await world.coordinator()
    const { network } = world.cluster.simulation
    network.cut(host.name, 'm1')
    await world.cluster.pass(800)
    network.reset(host.name, 'm1')
    network.heal()
    await world.settled(3 * GROUP_SESSION_MS)
    await world.end()
  })

  it('does not begin a record anew while the handler of its former life is at it, and goes on in order', async () => {
    const world = await GroupWorld.begin('two lives', { partitions: 1 })
    let most = 0
    const member = world.join('m1', { mode: 'run', handlingMs: [1, 1] })
    await world.handled(20)
    member.slowness = 3 * GROUP_SESSION_MS
    await world.handled(1)
    member.slowness = 1
    world.cutOff('m1')
    await world.cluster.pass(GROUP_SESSION_MS + 2000)
    world.cluster.simulation.network.heal()
    await world.cluster.run(() => countOf(world, 'lost') === 1 && owned(member).length === 1)
    for (let count = 0; count < 50; count++) {
      await world.cluster.pass(100)
      most = Math.max(most, member.inHand)
    }
    expect(most).toBe(1)
    await world.cluster.pass(3 * GROUP_SESSION_MS)
    await world.end()
  })

  it('S2: closes within its time-outs although no broker answers, and keeps nothing', async () => {
    const world = await GroupWorld.begin('no way home', { partitions: 2 })
    const member = world.join('m1')
    await world.settled()
    await world.handled(20)
    world.cutOff('m1')
    await world.cluster.pass(100)
    await world.cluster.run(world.leave(member), 10_000)
    world.cluster.simulation.network.heal()
    world.join('m2')
    await world.settled()
    await world.end()
  })

  it('is not kept by the group when it goes while it joins: the others need not wait for its session', async () => {
    const world = await GroupWorld.begin('in and out', { partitions: 2 })
    const stays = world.join('m1')
    await world.settled()
    const { network } = world.cluster.simulation
    for (const { name } of world.cluster.hosts) network.delay(name, 'm2', [50, 60])
    const goes = world.join('m2')
    while (!(await membersOf(world)).includes(goes.memberId)) await world.cluster.pass(1)
    expect(owned(goes)).toEqual([])
    await world.cluster.run(world.leave(goes), 5000)
    expect(await membersOf(world)).toEqual([stays.memberId])
    network.heal()
    await world.settled(2000)
    await world.end()
  })

  it('stays a member when a commit is given up that was looking for the coordinator, as its heartbeat was', async () => {
    const world = await GroupWorld.begin('shared search', { partitions: 2 })
    const member = world.join('m1', { commit: 'manual', commitEvery: 1e9 })
    await world.settled()
    await world.handled(20)
    for (const { name } of world.cluster.hosts) world.cluster.simulation.network.reset('m1', name)
    world.cutOff('m1')
    for (let count = 0; count < 30; count++) {
      const stop = new AbortController()
      const commit = member.consumer.commit(undefined, { signal: stop.signal })
      world.cluster.simulation.schedule(130, 'abort', () => stop.abort())
      await world.cluster.run(expect(commit).rejects.toMatchObject({ code: 'CLIENT_ABORTED' }))
    }
    world.cluster.simulation.network.heal()
    await world.settled()
    await world.end()
  })

  it('may be paused and resumed by its listeners while partitions come and go', async () => {
    const world = await GroupWorld.begin('pausing')
    const first: GroupMember = world.join('m1', {
      onAssigned: () => {
        first.consumer.pause()
        first.consumer.resume()
      },
      onRevoked: () => {
        first.consumer.pause()
        first.consumer.resume()
      },
    })
    await world.settled()
    world.join('m2')
    await world.settled()
    await world.handled(50)
    await world.end()
  })

  it('keeps the order of a partition that its handler resumes', async () => {
    const world = await GroupWorld.begin('resuming', { partitions: 2 })
    const member: GroupMember = world.join('m1', { mode: 'run', handlingMs: [1, 30] })
    await world.settled()
    for (let count = 0; count < 100; count++) {
      await world.cluster.pass(20)
      member.consumer.resume()
    }
    await world.end()
  })

  it('G4: neither loses nor counts a record that it was about to hand out when it was closed', async () => {
    const world = await GroupWorld.begin('about to', { partitions: 1 })
    await world.cluster.pass(500)
    for (let count = 0; count < 5; count++) {
      const client = world.cluster.client(`c${count}`)
      const consumer = client.consumer({ group: GROUP, topics: ['t'], from: 'beginning' })
      await world.cluster.run(consumer.ready())
      await world.cluster.pass(500)
      const loop = consumer.records()
      const next = loop.next()
      for (let turn = 0; turn < count; turn++) await Promise.resolve()
      const closed = consumer.close()
      const [taken] = await world.cluster.run(Promise.all([next, closed]))
      await world.cluster.run(client.close())
      const offset = taken.done === true ? 0 : taken.value.offset
      expect([offset, await world.committed()]).toEqual([0, [0]])
    }
  })
})

describe('A topic of a group', () => {
  it.each([500, 5000])(
    'CG-9: that was deleted and made anew is read from its beginning, with heartbeats every %i ms',
    async (heartbeatMs) => {
      const world = await GroupWorld.begin(`recreated ${heartbeatMs}`, {
        partitions: 2,
        settings: { 'group.consumer.heartbeat.interval.ms': String(heartbeatMs) },
      })
      const { cluster } = world
      const read: string[] = []
      const client = cluster.client('maker')
      await cluster.createTopic('u', { partitions: 2, replicationFactor: 3 })
      const producer = client.producer()
      const send = async (value: string): Promise<void> => {
        for (const partition of [0, 1])
          for (let count = 0; count < 10; count++)
            await cluster.run(producer.send({ topic: 'u', partition, value: `${value} ${count}` }))
      }
      await send('old')
      const consumers = ['u1', 'u2'].map((name) =>
        cluster.client(name).consumer({ group: 'u', topics: ['u'], from: 'beginning' }),
      )
      const ends = consumers.map(async (consumer) => {
        for await (const { partition, value } of consumer)
          read.push(`${partition} ${new TextDecoder().decode(value ?? undefined)}`)
      })
      for (const end of ends) end.catch((error: unknown) => read.push(`ended: ${String(error)}`))
      await cluster.run(() => read.length >= 20)
      await cluster.pass(2000)
      await cluster.run(client.admin().deleteTopics(['u']))
      await cluster.pass(heartbeatMs)
      await cluster.createTopic('u', { partitions: 2, replicationFactor: 3 })
      const before = read.length
      await send('new')
      await cluster.run(() => read.length >= before + 20, 20_000)

      const found = read.slice(before).sort()
      expect(found).toEqual([0, 1].flatMap((partition) => Array.from({ length: 10 }, (_, count) => `${partition} new ${count}`)).sort()) // prettier-ignore
      for (const consumer of consumers) await cluster.run(consumer.close(), 10_000)
      await cluster.run(client.close())
    },
  )
})

/** Ids of the members that the coordinator knows. */
async function membersOf(world: GroupWorld): Promise<string[]> {
  const host = await world.coordinator()
  const { groups } = await world.cluster.call(host, 'ConsumerGroupDescribe', 0, {
    groupIds: [GROUP],
    includeAuthorizedOperations: false,
  })
  return groups[0]!.members.map(({ memberId }) => memberId)
}
