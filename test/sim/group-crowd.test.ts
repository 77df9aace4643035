/**
 * Many members at once (docs/faults.md CG-10). They are bare heartbeats of the consumer protocol over a few connections: a
 * thousand clients would test the simulation. What they are given they have at once, and what they shall give up they are
 * rid of with the next heartbeat.
 */
import { describe, expect, it } from 'vitest'
import { errorByCode } from '../../src/protocol/errors.ts'
import type { RawClient } from '../support/raw-client.ts'
import { GROUP_SETTINGS } from './support/group-members.ts'
import { SimCluster } from './support/sim-cluster.ts'

const MEMBERS = 1000
const PARTITIONS = 30
const GROUP = 'crowd'
const KILL_EVERY_MS = 5000
const KILLS = 3
/** Records a member may cost the log of its group, over all it went through: joining, targets, what it has, and leaving. */
const RECORDS_PER_MEMBER_MAX = 12

interface Member {
  readonly id: string
  epoch: number
  owned: readonly number[]
  /** It has to tell what it owns. */
  hasNews: boolean
}

class Crowd {
  readonly faults: string[] = []
  readonly errors = new Set<string>()
  readonly #cluster: SimCluster
  readonly #topicId: string
  readonly #members: readonly Member[]
  readonly #owners = new Map<number, Member>()

  constructor(cluster: SimCluster) {
    this.#cluster = cluster
    this.#topicId = cluster.image.topicsByName.get('t')!.id
    this.#members = Array.from({ length: MEMBERS }, (_, index) => {
      const id = `member-${String(index).padStart(18, '0')}`
      return { id, epoch: 0, owned: [], hasNews: true }
    })
  }

  /** G2: all are members, in one epoch, and each partition has an owner. */
  get isSettled(): boolean {
    const epochs = new Set(this.#members.map(({ epoch }) => epoch))
    return epochs.size === 1 && !epochs.has(0) && this.#owners.size === PARTITIONS
  }

  /** A heartbeat of each, all at once, to whom they take for the coordinator. */
  async beat(): Promise<void> {
    const cluster = this.#cluster
    const asked = cluster.hosts.find(({ broker }) => broker !== null)
    if (asked === undefined) return
    const { nodeId, errorCode } = await cluster.call(asked, 'FindCoordinator', 3, { key: GROUP, keyType: 0 })
    const host = errorCode === 0 ? cluster.host(nodeId) : null
    if (host === null || host.broker === null) return
    const client = await cluster.rawClient(host).catch(() => null)
    if (client === null) return
    await cluster.run(Promise.allSettled(this.#members.map((member) => this.#beatOf(client, member))))
    client.close()
  }

  async #beatOf(client: RawClient, member: Member): Promise<void> {
    const { owned, id: memberId, epoch: memberEpoch } = member
    const topicPartitions = owned.length === 0 ? [] : [{ topicId: this.#topicId, partitions: [...owned] }]
    const isJoining = memberEpoch === 0
    const tellsAll = isJoining || member.hasNews
    const answer = await client.call('ConsumerGroupHeartbeat', 1, {
      groupId: GROUP,
      memberId,
      memberEpoch,
      ...(isJoining
        ? { rebalanceTimeoutMs: 30_000, subscribedTopicNames: ['t'], subscribedTopicRegex: '' }
        : {}),
      ...(tellsAll ? { topicPartitions } : {}),
    })
    const { name } = errorByCode(answer.errorCode)
    member.hasNews = name !== 'NONE'
    if (name === 'FENCED_MEMBER_EPOCH' || name === 'UNKNOWN_MEMBER_ID') {
      this.#have(member, [])
      member.epoch = 0
    }
    if (name !== 'NONE') {
      this.errors.add(name)
      return
    }
    member.epoch = answer.memberEpoch
    if (answer.assignment === null) return
    this.#have(member, answer.assignment.topicPartitions[0]?.partitions ?? [])
    member.hasNews = true
  }

  #have(member: Member, partitions: readonly number[]): void {
    for (const partition of member.owned)
      if (this.#owners.get(partition) === member) this.#owners.delete(partition)
    for (const partition of partitions) {
      const other = this.#owners.get(partition)
      if (other !== undefined && !this.#wasRemoved(other))
        this.faults.push(`G1: ${member.id} got partition ${partition}, which ${other.id} has`)
      this.#owners.set(partition, member)
    }
    member.owned = partitions
  }

  #wasRemoved({ id }: Member): boolean {
    return this.#cluster.said.some(({ fields }) => fields['member'] === id)
  }
}

describe('A group of a thousand', () => {
  it('CG-10: that join at once settles although its coordinator dies every five seconds, and costs its log little', async () => {
    const cluster = await SimCluster.start({ seed: 'crowd', settings: GROUP_SETTINGS })
    await cluster.createTopic('t', { partitions: PARTITIONS, replicationFactor: 3 })
    const crowd = new Crowd(cluster)
    let kills = 0
    const kill = (): void => {
      const leads = cluster.image.topicsByName
        .get('__consumer_offsets')
        ?.partitions.map(({ leader }) => leader)
      const host = cluster.hosts.find(({ id, broker }) => broker !== null && leads?.includes(id) === true)
      if (host !== undefined) {
        cluster.kill(host, 'crash')
        cluster.simulation.schedule(1000, 'revived', () => void cluster.revive(host))
      }
      if (++kills < KILLS) cluster.simulation.schedule(KILL_EVERY_MS, 'kill', kill)
    }
    cluster.simulation.schedule(KILL_EVERY_MS, 'kill', kill)

    const stormEndMs = cluster.simulation.nowMs + (KILLS + 1) * KILL_EVERY_MS
    while (cluster.simulation.nowMs < stormEndMs) {
      await crowd.beat()
      await cluster.pass(1000)
    }
    await cluster.untilWhole()
    for (let rounds = 0; !crowd.isSettled; rounds++) {
      expect(rounds, 'rounds after the last kill').toBeLessThan(10)
      await crowd.beat()
      await cluster.pass(1000)
    }

    expect(crowd.faults).toEqual([])
    // It was hit while members asked, and they were told to ask elsewhere, or later: nothing worse.
    const passing = ['NOT_COORDINATOR', 'COORDINATOR_LOAD_IN_PROGRESS', 'COORDINATOR_NOT_AVAILABLE']
    expect([kills, [...crowd.errors].filter((error) => !passing.includes(error))]).toEqual([KILLS, []])
    expect(await recordsOfGroups(cluster)).toBeLessThan(MEMBERS * RECORDS_PER_MEMBER_MAX)
  }, 60_000)
})

/** Records in the logs of all groups, compacted away or not. */
async function recordsOfGroups(cluster: SimCluster): Promise<number> {
  const admin = cluster.client('counter').consumer({ from: 'end' })
  const places = [0, 1, 2].map((partition) => ({ topic: '__consumer_offsets', partition }))
  admin.assign(places)
  const ends = await cluster.run(admin.endOffsets())
  await cluster.run(admin.close())
  return ends.reduce((sum, { offset }) => sum + offset, 0)
}
