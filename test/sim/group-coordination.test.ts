/**
 * Groups in a cluster of three: what was committed is told by every later coordinator, and by none before it knows all of it
 * (docs/faults.md G4, G5, CG-1, CG-2, CG-3). Raw clients ask every broker, whoever coordinates.
 */
import { describe, expect, it } from 'vitest'
import { USUAL_LATENCY } from '../../src/env/sim/sim-disk.ts'
import type { RequestInputOf } from '../../src/protocol/apis.ts'
import { errorByCode } from '../../src/protocol/errors.ts'
import type { RawClient } from '../support/raw-client.ts'
import { GATEWAY, GatewayCluster } from './support/gateway.ts'
import { SESSION_MS, SimCluster } from './support/sim-cluster.ts'
import type { Death, Host } from './support/sim-cluster.ts'

const OFFSETS_TOPIC = '__consumer_offsets'
const SETTINGS = { 'offsets.topic.num.partitions': '3', 'group.initial.rebalance.delay.ms': '0' }
const GROUPS = ['alpha', 'beta', 'gamma', 'delta', 'epsilon']
/** Groups that commit at once. */
const TOGETHER = 10
const SLOW_SYNC_MS = 100
const nameOf = (code: number): string => errorByCode(code).name

function commitOf(groupId: string, offset: number): RequestInputOf<'OffsetCommit'> {
  const partitions = [{ partitionIndex: 0, committedOffset: offset, committedMetadata: '' }]
  return { groupId, topics: [{ name: 'events', partitions }] }
}

/** Commits an offset by way of a broker: `NONE`, or why not. */
async function commit(
  cluster: SimCluster,
  client: RawClient,
  groupId: string,
  offset: number,
): Promise<string> {
  const answer = await cluster.run(client.call('OffsetCommit', 8, commitOf(groupId, offset)))
  return nameOf(answer.topics[0]!.partitions[0]!.errorCode)
}

/** Commits an offset by way of the coordinator, which may have to read its log first. */
async function untilCommitted(
  cluster: SimCluster,
  client: RawClient,
  groupId: string,
  offset: number,
): Promise<void> {
  for (;;) {
    const outcome = await commit(cluster, client, groupId, offset)
    if (outcome === 'NONE') return
    expect(outcome).toBe('COORDINATOR_LOAD_IN_PROGRESS')
    await cluster.pass(10)
  }
}

/** The committed offset as a broker tells it, null for none, or why it does not. */
async function fetch(
  cluster: SimCluster,
  client: RawClient,
  groupId: string,
): Promise<number | string | null> {
  const { groups } = await cluster.run(client.call('OffsetFetch', 8, { groups: [{ groupId, topics: null }] }))
  const { errorCode, topics } = groups[0]!
  return errorCode !== 0 ? nameOf(errorCode) : (topics[0]?.partitions[0]?.committedOffset ?? null)
}

async function find(cluster: SimCluster, host: Host, key: string): Promise<Host | string> {
  const answer = await cluster.call(host, 'FindCoordinator', 3, { key, keyType: 0 })
  return answer.errorCode === 0 ? cluster.host(answer.nodeId) : nameOf(answer.errorCode)
}

/** A whole cluster with a committed offset for each group: its place in the list, plus one. */
async function withOffsets(): Promise<SimCluster> {
  const cluster = await SimCluster.start({ settings: SETTINGS })
  await cluster.createTopic('events', { replicationFactor: 3 })
  for (const [index, group] of GROUPS.entries()) {
    const host = await find(cluster, cluster.host(1), group)
    if (typeof host === 'string') throw new Error(host)
    const client = await cluster.rawClient(host)
    await untilCommitted(cluster, client, group, index + 1)
    client.close()
  }
  await cluster.untilWhole()
  return cluster
}

function others(cluster: SimCluster, host: Host): Host[] {
  return cluster.hosts.filter((other) => other !== host)
}

describe('The coordinators of a cluster', () => {
  it('are spread over its brokers, and every broker names the same', async () => {
    const cluster = await withOffsets()
    expect(cluster.partition(OFFSETS_TOPIC).replicas).toHaveLength(3)
    const found = new Map<string, Set<unknown>>()
    for (const group of GROUPS) found.set(group, new Set())
    for (const host of cluster.hosts)
      for (const group of GROUPS) found.get(group)!.add(await find(cluster, host, group))
    expect([...found.values()].map(({ size }) => size)).toEqual(GROUPS.map(() => 1))
    expect(new Set([...found.values()].flatMap((hosts) => [...hosts])).size).toBeGreaterThan(1)
  })

  it.each<Death>(['close', 'crash', 'power cut'])(
    'CG-1, G4: tell of no group less than was committed, through the %s of one of them and its return',
    async (how) => {
      const cluster = await withOffsets()
      const host = cluster.leader(OFFSETS_TOPIC)!
      const clients = new Map<Host, RawClient>()
      for (const each of others(cluster, host)) clients.set(each, await cluster.rawClient(each))
      void cluster.end(host, how)
      const told = new Set<string>()
      const ask = async (): Promise<void> => {
        for (const client of clients.values()) {
          for (const [index, group] of GROUPS.entries()) {
            const answer = await fetch(cluster, client, group)
            if (typeof answer === 'string') told.add(answer)
            else expect(answer, group).toBe(index + 1)
          }
        }
      }

      const endMs = cluster.simulation.nowMs + 4 * SESSION_MS
      while (cluster.simulation.nowMs < endMs) {
        await ask()
        await cluster.pass(15)
      }
      const known = ['NOT_COORDINATOR', 'COORDINATOR_LOAD_IN_PROGRESS', 'COORDINATOR_NOT_AVAILABLE']
      expect([...told].filter((error) => !known.includes(error))).toEqual([])
      void cluster.revive(host)
      await cluster.untilWhole()
      await ask()
      for (const [index, group] of GROUPS.entries()) {
        const coordinator = await find(cluster, cluster.host(2), group)
        if (typeof coordinator === 'string') throw new Error(coordinator)
        expect(await fetch(cluster, await cluster.rawClient(coordinator), group)).toBe(index + 1)
      }
    },
  )

  it('CG-2, CG-3: one that was replaced and does not know it acknowledges nothing, and what it took is gone', async () => {
    const cluster = await withOffsets()
    const [group] = GROUPS
    const host = (await find(cluster, cluster.host(1), group!)) as Host
    const old = await cluster.rawClient(host)
    const { network } = cluster.simulation
    network.partition(
      [host.name],
      others(cluster, host).map(({ name }) => name),
    )
    // It still leads, as far as it knows, with all replicas in sync: it takes the commit, and waits for the others.
    const pending = old.call('OffsetCommit', 8, commitOf(group!, 1000))
    await cluster.run(() => ![null, host].includes(leaderOf(cluster, group!, host)), 6 * SESSION_MS)
    const next = leaderOf(cluster, group!, host)!
    const client = await cluster.rawClient(next)
    await untilCommitted(cluster, client, group!, 2)

    const answer = await cluster.run(pending)
    expect(['NOT_COORDINATOR', 'COORDINATOR_NOT_AVAILABLE']).toContain(
      nameOf(answer.topics[0]!.partitions[0]!.errorCode),
    )
    expect(await commit(cluster, old, group!, 1001)).not.toBe('NONE')
    network.heal()
    await cluster.untilWhole()
    expect(await fetch(cluster, client, group!)).toBe(2)
    expect(await fetch(cluster, old, group!)).toBe('NOT_COORDINATOR')
  })

  it('write the commits of many groups of one connection together: one slow sync for all of them, not one for each', async () => {
    const cluster = await SimCluster.start({ settings: SETTINGS })
    await cluster.createTopic('events', { replicationFactor: 3 })
    const host = cluster.host(1)
    const client = await cluster.rawClient(host)
    const groups: string[] = []
    for (let index = 0; groups.length < TOGETHER; index++) {
      if ((await find(cluster, host, `group-${index}`)) !== host) continue
      await untilCommitted(cluster, client, `group-${index}`, 1)
      groups.push(`group-${index}`)
    }
    host.node.disk.latency = { ...USUAL_LATENCY, sync: [SLOW_SYNC_MS, SLOW_SYNC_MS] }
    const startMs = cluster.simulation.nowMs
    const sent = groups.map((group) => client.call('OffsetCommit', 8, commitOf(group, 2)))
    const answers = await cluster.run(Promise.all(sent))
    for (const { topics } of answers) expect(nameOf(topics[0]!.partitions[0]!.errorCode)).toBe('NONE')
    // Two syncs: the one that was under way as the first came, and theirs.
    expect(cluster.simulation.nowMs - startMs).toBeLessThan(3 * SLOW_SYNC_MS)
    for (const group of groups) expect(await fetch(cluster, client, group)).toBe(2)
  })

  it('do not begin with fewer replicas than the cluster could have, only since not all of it is up yet', async () => {
    const cluster = await SimCluster.start({ settings: SETTINGS })
    const third = cluster.host(3)
    await cluster.run(cluster.end(third, 'crash'))
    await cluster.run(() => cluster.image.brokers.get(3)!.isFenced)

    expect(await find(cluster, cluster.host(1), 'g')).toBe('COORDINATOR_NOT_AVAILABLE')
    expect(cluster.image.topicsByName.has(OFFSETS_TOPIC)).toBe(false)
    await cluster.run(cluster.revive(third))
    // The one that is asked may hear of it a little later.
    await cluster.run(() => !cluster.host(1).broker!.image.brokers.get(3)!.isFenced)
    expect(await find(cluster, cluster.host(1), 'g')).toBeInstanceOf(Object)
    expect(cluster.partition(OFFSETS_TOPIC).replicas).toHaveLength(3)
  })
})

describe('A WebSocket client of any broker', () => {
  it('is answered by the coordinators of its groups, and told of the one address', async () => {
    const cluster = await GatewayCluster.start({ settings: SETTINGS })
    await cluster.createTopic('events', { replicationFactor: 3 })
    const clients: RawClient[] = []
    for (const host of cluster.hosts) clients.push(await cluster.webSocket(host))
    const found = await cluster.run(clients[0]!.call('FindCoordinator', 3, { key: 'alpha', keyType: 0 }))
    expect(found).toMatchObject({ errorCode: 0, ...GATEWAY })

    for (const [index, group] of GROUPS.entries()) {
      for (const [each, client] of clients.entries()) {
        await untilCommitted(cluster, client, group, 10 * index + each)
        for (const other of clients) expect(await fetch(cluster, other, group)).toBe(10 * index + each)
      }
    }
  })

  it('learns of the groups of all brokers by one request, and of each error by its group', async () => {
    const cluster = await GatewayCluster.start({ settings: SETTINGS })
    await cluster.createTopic('events', { replicationFactor: 3 })
    const client = await cluster.webSocket(cluster.host(1))
    await cluster.run(client.call('FindCoordinator', 3, { key: GROUPS[0]!, keyType: 0 })) // makes their topic
    await cluster.untilWhole()
    for (const [index, group] of GROUPS.entries()) await untilCommitted(cluster, client, group, index + 1)
    const ids = async (asked: RawClient): Promise<string[]> => {
      const answer = await cluster.run(asked.call('ListGroups', 5, {}))
      expect(nameOf(answer.errorCode)).toBe('NONE')
      return answer.groups.map(({ groupId }) => groupId).sort()
    }
    const offsets = async (): Promise<(number | string)[]> => {
      const groups = GROUPS.map((groupId) => ({ groupId, topics: null }))
      const answer = await cluster.run(client.call('OffsetFetch', 8, { groups }))
      expect(answer.groups.map(({ groupId }) => groupId)).toEqual(GROUPS)
      return answer.groups.map(({ errorCode, topics }) =>
        errorCode === 0 ? topics[0]!.partitions[0]!.committedOffset : nameOf(errorCode),
      )
    }

    // Those of all by WebSocket; by TCP each broker names its own, as in Kafka.
    expect(await ids(client)).toEqual([...GROUPS].sort())
    const apart: string[][] = []
    for (const host of cluster.hosts) apart.push(await ids(await cluster.rawClient(host)))
    expect(apart.filter((own) => own.length > 0).length).toBeGreaterThan(1)
    expect(apart.flat().sort()).toEqual([...GROUPS].sort())

    expect(await offsets()).toEqual(GROUPS.map((_, index) => index + 1))
    const described = await cluster.run(client.call('DescribeGroups', 5, { groups: ['nobody', ...GROUPS] }))
    expect(described.groups.map(({ groupId }) => groupId)).toEqual(['nobody', ...GROUPS])
    expect(described.groups.slice(1).map(({ groupState }) => groupState)).toEqual(GROUPS.map(() => 'Empty'))

    // A coordinator that is cut off is an error of its groups alone.
    const cut = cluster.hosts.find((host, index) => host.id !== 1 && apart[index]!.length > 0)!
    cluster.simulation.network.partition(
      [cut.name],
      others(cluster, cut).map(({ name }) => name),
    )
    const partly = await offsets()
    for (const [index, group] of GROUPS.entries()) {
      const isCut = apart[cut.id - 1]!.includes(group)
      if (!isCut) expect(partly[index], group).toBe(index + 1)
      else expect([index + 1, 'NOT_COORDINATOR', 'COORDINATOR_NOT_AVAILABLE', 'COORDINATOR_LOAD_IN_PROGRESS']).toContain(partly[index]) // prettier-ignore
    }
    cluster.simulation.network.heal()
    await cluster.untilWhole()

    const deleted = await cluster.run(client.call('DeleteGroups', 2, { groupsNames: [...GROUPS, 'nobody'] }))
    expect(deleted.results.map(({ groupId, errorCode }) => [groupId, nameOf(errorCode)])).toEqual([
      ...GROUPS.map((group) => [group, 'NONE']),
      ['nobody', 'GROUP_ID_NOT_FOUND'],
    ])
    expect(await ids(client)).toEqual([])
  })

  it('joins a group by way of any broker, waits there for other members, and gives up its place by going', async () => {
    const cluster = await GatewayCluster.start({ settings: SETTINGS })
    const clients: RawClient[] = []
    for (const host of cluster.hosts) clients.push(await cluster.webSocket(host))
    const [first, second, third] = clients as [RawClient, RawClient, RawClient]
    await cluster.untilWhole()
    await cluster.run(first.call('FindCoordinator', 3, { key: 'g', keyType: 0 }))
    const join = (memberId = ''): RequestInputOf<'JoinGroup'> => ({
      ...{
        groupId: 'g',
        sessionTimeoutMs: 6000,
        rebalanceTimeoutMs: 8000,
        memberId,
        protocolType: 'consumer',
      },
      protocols: [{ name: 'range', metadata: new Uint8Array([1]) }],
    })
    let joined = await cluster.run(first.call('JoinGroup', 3, join()))
    while (nameOf(joined.errorCode) === 'COORDINATOR_LOAD_IN_PROGRESS') {
      await cluster.pass(20)
      joined = await cluster.run(first.call('JoinGroup', 3, join()))
    }
    const { generationId, memberId } = joined
    const assignments = [{ memberId, assignment: new Uint8Array([1]) }]
    await cluster.run(first.call('SyncGroup', 3, { groupId: 'g', generationId, memberId, assignments }))

    const waiting = second.call('JoinGroup', 3, join())
    third.call('JoinGroup', 3, join()).catch(() => undefined)
    await cluster.pass(200)
    third.close()
    const [again, other] = await cluster.run(
      Promise.all([first.call('JoinGroup', 3, join(memberId)), waiting]),
    )
    expect([nameOf(again.errorCode), nameOf(other.errorCode)]).toEqual(['NONE', 'NONE'])
    expect(again.generationId).toBe(other.generationId)
    const { groups } = await cluster.run(second.call('DescribeGroups', 5, { groups: ['g'] }))
    expect(groups[0]!.members.map(({ clientHost }) => clientHost)).toContain('/raw')
  })
})

/** Who leads the group's partition by the newest image of the others. */
function leaderOf(cluster: SimCluster, group: string, old: Host): Host | null {
  const image = others(cluster, old)[0]!.broker!.image
  let hash = 0
  for (const character of group) hash = (31 * hash + character.charCodeAt(0)) | 0
  const { partitions } = image.topicsByName.get(OFFSETS_TOPIC)!
  const { leader } = partitions[(hash & 0x7fff_ffff) % partitions.length]!
  return leader === null ? null : cluster.host(leader)
}
