/** Elections on demand and by themselves, and moves of replicas: reassignment, draining, replacement of lost brokers. */
import { describe, expect, it } from 'vitest'
import type { Controller } from '../../src/controller/controller.ts'
import { liveBrokers } from '../../src/metadata/cluster-image.ts'
import { placeReplicas } from '../../src/controller/placement.ts'
import {
  create,
  heartbeat,
  joinBroker,
  nameOf,
  partitionsOf,
  startController,
  stateOf,
  topicRequest,
} from './support.ts'

const partition = (controller: Controller, index = 0) => partitionsOf(controller.image, 't')[index]!
const epochOf = (controller: Controller, id: number) => controller.image.brokers.get(id)!.epoch

/** The leader says who is in sync. */
async function setIsr(controller: Controller, isr: readonly number[], index = 0): Promise<string> {
  const { leader, leaderEpoch, partitionEpoch } = partition(controller, index)
  const { topics } = await controller.alterPartition({
    brokerId: leader!,
    brokerEpoch: epochOf(controller, leader!),
    topics: [
      {
        topicId: controller.image.topicsByName.get('t')!.id,
        partitions: [
          {
            partitionIndex: index,
            leaderEpoch,
            partitionEpoch,
            leaderRecoveryState: 0,
            newIsrWithEpochs: isr.map((id) => ({ brokerId: id, brokerEpoch: epochOf(controller, id) })),
          },
        ],
      },
    ],
  })
  return nameOf(topics[0]!.partitions[0]!.errorCode)
}

async function move(controller: Controller, replicas: number[] | null, allowsChange = true): Promise<string> {
  const { responses } = await controller.alterPartitionReassignments({
    timeoutMs: 1000,
    allowReplicationFactorChange: allowsChange,
    topics: [{ name: 't', partitions: [{ partitionIndex: 0, replicas }] }],
  })
  return nameOf(responses[0]!.partitions[0]!.errorCode)
}

async function elect(controller: Controller, electionType: number, isNamed = true): Promise<string[]> {
  const { errorCode, replicaElectionResults } = await controller.electLeaders({
    electionType,
    topicPartitions: isNamed ? [{ topic: 't', partitions: [0] }] : null,
    timeoutMs: 1000,
  })
  const results = replicaElectionResults.flatMap(({ partitionResult }) => partitionResult)
  return errorCode === 0 ? results.map((result) => nameOf(result.errorCode)) : [nameOf(errorCode)]
}

async function startWith(replicas: number[], staticEntries: Record<string, string> = {}) {
  const test = await startController({ brokerCount: 5, staticEntries })
  await create(test.controller, [
    topicRequest('t', {
      assignments: [{ partitionIndex: 0, brokerIds: replicas }],
      configs: { 'min.insync.replicas': String(Math.min(2, replicas.length)) },
    }),
  ])
  return test
}

const shown = (controller: Controller) => {
  const { replicas, addingReplicas, removingReplicas } = partition(controller)
  return `${replicas.join()} +${addingReplicas.join()} -${removingReplicas.join()}`
}

describe('AlterPartitionReassignments', () => {
  it('adds first and removes when all that come are in sync; the leader epoch rises with the removal', async () => {
    const { controller } = await startWith([1, 2, 3])
    expect(await move(controller, [4, 5, 3])).toBe('NONE')
    expect(shown(controller)).toBe('4,5,3,1,2 +4,5 -1,2')
    const list = controller.listPartitionReassignments({ timeoutMs: 0, topics: null })
    expect(list.topics[0]!.partitions[0]).toMatchObject({ addingReplicas: [4, 5], removingReplicas: [1, 2] })
    expect(await setIsr(controller, [1, 2, 3, 4])).toBe('NONE')
    expect(shown(controller)).toBe('4,5,3,1,2 +4,5 -1,2')
    expect(await setIsr(controller, [1, 2, 3, 4, 5])).toBe('NEW_LEADER_ELECTED')
    expect(shown(controller)).toBe('4,5,3 + -')
    expect(stateOf(controller.image, 't')).toBe('4@1 isr 3,4,5')
    expect(controller.listPartitionReassignments({ timeoutMs: 0, topics: null }).topics).toEqual([])
  })

  it('RP-10: a removal raises the leader epoch although the leader stays', async () => {
    const { controller } = await startWith([1, 2, 3])
    expect(await move(controller, [1, 2])).toBe('NONE')
    expect(shown(controller)).toBe('1,2 + -')
    expect(stateOf(controller.image, 't')).toBe('1@1 isr 1,2')
  })

  it('is called off without a trace of those that were to come', async () => {
    const { controller } = await startWith([1, 2, 3])
    await move(controller, [4, 5, 3])
    await setIsr(controller, [1, 2, 3, 4])
    expect(await move(controller, null)).toBe('NONE')
    expect([shown(controller), stateOf(controller.image, 't')]).toEqual(['3,1,2 + -', '1@1 isr 1,2,3'])
    expect(await move(controller, null)).toBe('NO_REASSIGNMENT_IN_PROGRESS')
  })

  it('is not called off when only new replicas have everything', async () => {
    const { controller } = await startWith([1])
    await move(controller, [4, 5])
    await setIsr(controller, [1, 4])
    await joinBroker(controller, 1, 'J')
    expect(stateOf(controller.image, 't')).toBe('4@1 isr 4')
    expect(await move(controller, null)).toBe('INVALID_REPLICA_ASSIGNMENT')
  })

  it('is replaced by another: what is in sync stays until that one is done', async () => {
    const { controller } = await startWith([1, 2, 3])
    await move(controller, [1, 2, 4])
    await setIsr(controller, [1, 2, 3, 4].slice(0, 2))
    expect(await move(controller, [1, 2, 5])).toBe('NONE')
    expect(shown(controller)).toBe('1,2,5,4,3 +5 -4,3')
    await setIsr(controller, [1, 2, 5])
    expect(shown(controller)).toBe('1,2,5 + -')
  })

  it.each<[string, number[], boolean, string]>([
    ['nobody', [], true, 'INVALID_REPLICA_ASSIGNMENT'],
    ['a stranger', [1, 9], true, 'INVALID_REPLICA_ASSIGNMENT'],
    ['one twice', [1, 1], true, 'INVALID_REPLICA_ASSIGNMENT'],
    ['more, when that is forbidden', [1, 2, 3, 4], false, 'INVALID_REPLICATION_FACTOR'],
  ])('refuses to move to %s', async (_what, replicas, allowsChange, error) => {
    const { controller } = await startWith([1, 2, 3])
    const before = controller.image
    expect(await move(controller, replicas, allowsChange)).toBe(error)
    expect(controller.image).toBe(before)
  })
})

describe('draining a broker', () => {
  it('replaces it in racks that have no replica, by who holds fewest; then it can be removed', async () => {
    const { controller } = await startController({ brokerCount: 0 })
    const racks = ['a', 'b', 'c', 'a', 'c', 'b']
    for (const [index, rack] of racks.entries()) await joinBroker(controller, index + 1, 'I', { rack })
    await create(controller, [
      topicRequest('t', {
        assignments: [0, 1].map((partitionIndex) => ({ partitionIndex, brokerIds: [1, 2, 3] })),
      }),
    ])
    expect(await controller.drainBroker(3)).toMatchObject({ startedCount: 2, leftCount: 2, stuckCount: 0 })
    expect(partitionsOf(controller.image, 't').map(({ replicas }) => replicas)).toEqual([
      [1, 2, 5, 3],
      [1, 2, 5, 3],
    ])
    expect(await controller.drainBroker(3)).toMatchObject({ startedCount: 0, leftCount: 2 })
    for (const index of [0, 1]) await setIsr(controller, [1, 2, 3, 5], index)
    expect(await controller.drainBroker(3)).toMatchObject({ startedCount: 0, leftCount: 0 })
    await heartbeat(controller, 3, epochOf(controller, 3), { wantsShutdown: true })
    expect((await controller.unregisterBroker(3)).error).toBe('NONE')
  })

  it('says for how many partitions there is nobody left', async () => {
    const { controller } = await startController({ brokerCount: 2 })
    await create(controller, [topicRequest('t', { replicationFactor: 2 })])
    expect(await controller.drainBroker(2)).toMatchObject({ startedCount: 0, leftCount: 1, stuckCount: 1 })
    expect((await controller.drainBroker(7)).error).toBe('BROKER_ID_NOT_REGISTERED')
  })

  it('happens by itself to a broker that is gone for too long, where that is wanted', async () => {
    const { controller, clock } = await startWith([1, 2, 3], { 'broker.replacement.delay.ms': '20000' })
    const others = [1, 2, 4, 5]
    const live = async (ms: number) => {
      for (let passed = 0; passed < ms; passed += 1000) {
        await clock.pass(1000)
        for (const id of others) await heartbeat(controller, id, epochOf(controller, id))
      }
    }
    await live(15_000)
    expect(controller.image.brokers.get(3)!.isFenced).toBe(true)
    expect(shown(controller)).toBe('1,2,3 + -')
    await live(16_000)
    expect(shown(controller)).toBe('1,2,4,3 +4 -3')
  })

  it('happens by itself after no longer a time when the controller changes, and not before a session has passed then', async () => {
    const { controller, clock, quorum } = await startWith([1, 2, 3], {
      'broker.replacement.delay.ms': '60000',
    })
    const live = async (ms: number) => {
      for (let passed = 0; passed < ms; passed += 1000) {
        await clock.pass(1000)
        if (!controller.isActive) continue
        for (const id of [1, 2, 4, 5]) await heartbeat(controller, id, epochOf(controller, id))
      }
    }
    await live(12_000)
    expect(controller.image.brokers.get(3)!.isFenced).toBe(true)
    await live(25_000)
    quorum.loseLeadership()
    await live(40_000)
    await quorum.win()
    await live(5000)
    expect(shown(controller), 'it may be there, and nobody has asked it yet').toBe('1,2,3 + -')
    await live(6000)
    expect(shown(controller)).toBe('1,2,4,3 +4 -3')
  })

  it('does not happen to one that shows up when another controller asks', async () => {
    const { controller, clock, quorum } = await startWith([1, 2, 3], {
      'broker.replacement.delay.ms': '20000',
    })
    const live = async (ms: number, ids: readonly number[]) => {
      for (let passed = 0; passed < ms; passed += 1000) {
        await clock.pass(1000)
        for (const id of ids) await heartbeat(controller, id, epochOf(controller, id))
      }
    }
    await live(12_000, [1, 2, 4, 5])
    quorum.loseLeadership()
    await clock.pass(60_000, 1000)
    await quorum.win()
    await live(30_000, [1, 2, 3, 4, 5])
    expect(controller.image.brokers.get(3)!.isFenced).toBe(false)
    expect(shown(controller)).toBe('1,2,3 + -')
  })
})

describe('ElectLeaders', () => {
  it('gives the partition back to its first replica, if that is in sync', async () => {
    const { controller } = await startWith([1, 2, 3])
    await heartbeat(controller, 1, epochOf(controller, 1), { wantsFence: true })
    await heartbeat(controller, 1, epochOf(controller, 1))
    expect(await elect(controller, 0)).toEqual(['PREFERRED_LEADER_NOT_AVAILABLE'])
    await setIsr(controller, [1, 2, 3])
    expect(await elect(controller, 0)).toEqual(['NONE'])
    expect(stateOf(controller.image, 't')).toBe('1@2 isr 1,2,3')
    expect(await elect(controller, 0)).toEqual(['ELECTION_NOT_NEEDED'])
    expect(await elect(controller, 0, false)).toEqual([])
    expect(await elect(controller, 7)).toEqual(['INVALID_REQUEST'])
  })

  it('R15: elects anybody when an operator says so, and marks it', async () => {
    const { controller } = await startWith([1, 2])
    expect(await elect(controller, 1)).toEqual(['ELECTION_NOT_NEEDED'])
    await setIsr(controller, [2, 1].slice(1))
    for (const id of [2, 1]) await joinBroker(controller, id, 'J', { staysFenced: true })
    expect(await elect(controller, 1)).toEqual(['ELIGIBLE_LEADERS_NOT_AVAILABLE'])
    await heartbeat(controller, 2, epochOf(controller, 2))
    expect(stateOf(controller.image, 't')).toBe('none@1 isr  last 1')
    expect(await elect(controller, 1)).toEqual(['NONE'])
    expect(stateOf(controller.image, 't')).toBe('2@2 isr 2 recovering')
  })

  it('happens by itself for preferred leaders, as often as the configuration says', async () => {
    const { controller, clock } = await startWith([2, 1, 3], {
      'leader.imbalance.check.interval.seconds': '5',
    })
    await heartbeat(controller, 2, epochOf(controller, 2), { wantsFence: true })
    await heartbeat(controller, 2, epochOf(controller, 2))
    await setIsr(controller, [1, 2, 3])
    expect(partition(controller).leader).toBe(1)
    await clock.pass(6000)
    expect(partition(controller).leader).toBe(2)
  })
})

describe('placement', () => {
  it('puts no two replicas into one rack while there is a rack without one, wherever racks are how large', async () => {
    for (const racks of ['aab', 'aabb', 'abc', 'aaabbc', 'aabbcd', 'aaaaab']) {
      const { controller } = await startController({ brokerCount: 0 })
      for (const [index, rack] of racks.split('').entries())
        await joinBroker(controller, index + 1, 'I', { rack })
      const rackCount = new Set(racks).size
      const rackOf = (id: number) => racks[id - 1]!
      await create(controller, [topicRequest('t', { numPartitions: 12, replicationFactor: rackCount })])
      await controller.createPartitions({
        topics: [{ name: 't', count: 30, assignments: null }],
        timeoutMs: 1000,
        validateOnly: false,
      })
      for (const { replicas } of partitionsOf(controller.image, 't'))
        expect(new Set(replicas.map(rackOf)).size, racks).toBe(rackCount)
      const all = placeReplicas(liveBrokers(controller.image), {
        start: 0,
        firstIndex: 0,
        partitionCount: 20,
        replicationFactor: racks.length,
      })
      for (const replicas of all) expect(new Set(replicas).size).toBe(racks.length)
    }
  })
})
