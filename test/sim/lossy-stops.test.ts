/**
 * Stops that take with them what was acknowledged (docs/faults.md RP-4, RP-11, RP-13): topics whose acknowledgements are not on
 * disks (`durability=os`), and elections that are unclean because somebody wanted them to be. What may be lost then, and that it
 * is never lost unseen.
 */
import { describe, expect, it } from 'vitest'
import type { ClientError } from '../../src/client/client-error.ts'
import type { PartitionImage } from '../../src/metadata/cluster-image.ts'
import { readAll } from './support/cluster-clients.ts'
import { SESSION_MS, SimCluster } from './support/sim-cluster.ts'
import type { Host, Settings } from './support/sim-cluster.ts'

const TOPIC = 'orders'
const PLACE = { topic: TOPIC, partition: 0 }

async function start(
  seed: string,
  replicas: readonly number[],
  configs: Settings,
): Promise<{ cluster: SimCluster; states: PartitionImage[] }> {
  const cluster = await SimCluster.start({
    seed,
    settings: { 'leader.imbalance.check.interval.seconds': '300' },
  })
  await cluster.createTopic(TOPIC, { assignments: [replicas], configs })
  const states: PartitionImage[] = []
  cluster.simulation.checks.push(() => {
    if (!cluster.hasImage) return
    const state = cluster.image.topicsByName.get(TOPIC)?.partitions[0]
    const last = states.at(-1)
    if (state !== undefined && state !== last && state.partitionEpoch > (last?.partitionEpoch ?? -1))
      states.push(state)
  })
  return { cluster, states }
}

/** Sends records one after the other, each acknowledged as `acks` says. */
async function send(cluster: SimCluster, ids: readonly string[], acks: 'all' | 1 = 'all'): Promise<void> {
  const client = cluster.client('sender')
  const producer = client.producer({ acks, idempotent: acks === 'all' })
  for (const id of ids) await cluster.run(producer.send({ ...PLACE, value: `${id}|` }))
  await cluster.run(client.close())
}

async function idsIn(cluster: SimCluster): Promise<string[]> {
  const [log] = await cluster.run(readAll(cluster, [PLACE]))
  return log!.records.map(({ id }) => id)
}

function numbered(prefix: string, count: number): string[] {
  return Array.from({ length: count }, (_, index) => `${prefix}${index}`)
}

async function isolate(cluster: SimCluster, host: Host): Promise<void> {
  const others = cluster.hosts.filter((other) => other !== host).map(({ name }) => name)
  cluster.simulation.network.partition([host.name], others)
  await cluster.run(() => !cluster.partition(TOPIC).isr.includes(host.id), 5 * SESSION_MS)
}

describe('A topic acknowledged from memory', () => {
  it('RP-11 R1: keeps everything through the one lossy stop that min.insync.replicas=2 allows: the eligible replica leads, not the last in sync', async () => {
    const { cluster, states } = await start('rp-11', [1, 2], { durability: 'os', 'min.insync.replicas': '2' })
    await send(cluster, numbered('a', 20))
    await isolate(cluster, cluster.host(2))
    expect(cluster.partition(TOPIC)).toMatchObject({ leader: 1, isr: [1], eligibleLeaderReplicas: [2] })
    // The last one standing loses what it had in memory, and is back long before anybody has missed it.
    cluster.kill(cluster.host(1), 'power cut')
    await cluster.run(cluster.revive(cluster.host(1)))
    expect(cluster.partition(TOPIC)).toMatchObject({ leader: null, isr: [] })
    cluster.simulation.network.heal()
    await cluster.untilWhole()
    expect(cluster.partition(TOPIC).leader).toBe(2)
    expect(states.some(({ isRecovering }) => isRecovering)).toBe(false)
    expect(await idsIn(cluster)).toEqual(numbered('a', 20))
  })

  it.each([
    [1, 2, 3],
    [3, 1, 2],
    [2, 3, 1],
  ])(
    'RP-13: has a beginning of what it took after all have lost power at once, and says that it was led by one who may lack some; back in the order %i, %i, %i',
    async (...order) => {
      const { cluster, states } = await start(`rp-13 ${order.join('')}`, [1, 2, 3], {
        durability: 'os',
        'min.insync.replicas': '2',
      })
      await send(cluster, numbered('a', 10))
      // Of what was not synced each disk keeps another part.
      await send(cluster, numbered('b', 15))
      for (const host of cluster.hosts) cluster.kill(host, 'power cut')
      for (const id of order) {
        void cluster.revive(cluster.host(id))
        await cluster.pass(300)
      }
      await cluster.untilWhole()
      const found = await idsIn(cluster)
      const sent = [...numbered('a', 10), ...numbered('b', 15)]
      expect(found, 'a beginning of what was acknowledged').toEqual(sent.slice(0, found.length))
      const flagged = states.filter(({ isRecovering }) => isRecovering)
      expect(flagged.length, 'what nobody can vouch for is flagged').toBeGreaterThan(0)
      // Each that comes back without its memory passes the leadership on, until it was with everybody.
      const before = states[states.indexOf(flagged[0]!) - 1]!
      const last = before.leader === null ? before.lastKnownEligibleLeaders : [before.leader]
      expect(last, 'nobody but the last leader').toEqual([flagged[0]!.leader])
      expect(cluster.partition(TOPIC).isRecovering).toBe(false)
    },
  )

  it('RP-13: a topic acknowledged from disks loses nothing, whoever is back first', async () => {
    for (const order of [
      [1, 2, 3],
      [3, 2, 1],
      [2, 1, 3],
    ]) {
      // prettier-ignore
      const { cluster } = await start(`rp-13 strict ${order.join('')}`, [1, 2, 3], {})
      await send(cluster, numbered('a', 25))
      for (const host of cluster.hosts) cluster.kill(host, 'power cut')
      for (const id of order) {
        void cluster.revive(cluster.host(id))
        await cluster.pass(300)
      }
      await cluster.untilWhole()
      expect(await idsIn(cluster)).toEqual(numbered('a', 25))
    }
  })
})

describe('An election that is unclean because the topic allows it', () => {
  it('RP-4: tells a consumer where its log was left; it is given no other records in the place of those it knows', async () => {
    const { cluster, states } = await start('rp-4', [1, 2], {
      'min.insync.replicas': '1',
      'unclean.leader.election.enable': 'true',
    })
    await send(cluster, numbered('a', 5))
    await isolate(cluster, cluster.host(2))
    await send(cluster, numbered('lost', 5))
    const client = cluster.client('reader')
    const consumer = client.consumer({ from: 'beginning', maxWaitMs: 100 })
    consumer.assign([PLACE])
    const seen: string[] = []
    const reading = (async () => {
      for await (const { value, offset } of consumer) seen[offset] = Buffer.from(value!).toString()
    })().then(
      () => null,
      (error: unknown) => error as ClientError,
    )
    let failure: ClientError | null | undefined
    void reading.then((error) => (failure = error))
    await cluster.run(() => seen.length === 10)
    cluster.kill(cluster.host(1), 'power cut')
    cluster.simulation.network.heal()
    await cluster.run(() => cluster.partition(TOPIC).leader === 2)
    expect(
      states.some(({ leader, isRecovering }) => leader === 2 && isRecovering),
      'it is flagged',
    ).toBe(true)
    // As many others are written as the consumer has read, and more.
    await send(cluster, numbered('new', 8))
    await cluster.run(() => failure !== undefined)
    expect(failure).toMatchObject({ code: 'CLIENT_LOG_TRUNCATED' })
    expect(failure!.message).toMatch(/\b5\b/)
    expect(seen).toEqual([...numbered('a', 5), ...numbered('lost', 5)].map((id) => `${id}|`))
    await cluster.run(client.close())
    void cluster.revive(cluster.host(1))
    await cluster.untilWhole()
    expect(await idsIn(cluster)).toEqual([...numbered('a', 5), ...numbered('new', 8)])
  })

  it('RP-4: a consumer that asks for its position by epoch is told the end of the last one that both have', async () => {
    const { cluster } = await start('rp-4 by epoch', [1, 2], {
      'min.insync.replicas': '1',
      'unclean.leader.election.enable': 'true',
    })
    await send(cluster, numbered('a', 3))
    await isolate(cluster, cluster.host(2))
    await send(cluster, numbered('lost', 3))
    const { leaderEpoch } = cluster.partition(TOPIC)
    cluster.kill(cluster.host(1), 'power cut')
    cluster.simulation.network.heal()
    await cluster.run(() => cluster.partition(TOPIC).leader === 2)
    await send(cluster, numbered('new', 5))
    const { leaderEpoch: currentLeaderEpoch } = cluster.partition(TOPIC)
    const topicId = cluster.image.topicsByName.get(TOPIC)!.id
    const fetch = await cluster.call(cluster.host(2), 'Fetch', 13, {
      ...{ maxWaitMs: 0, minBytes: 1, maxBytes: 10_000, isolationLevel: 0, sessionId: 0, sessionEpoch: -1 },
      topics: [
        {
          topicId,
          partitions: [
            {
              ...{ partition: 0, currentLeaderEpoch, fetchOffset: 6, lastFetchedEpoch: leaderEpoch },
              ...{ logStartOffset: -1, partitionMaxBytes: 10_000 },
            },
          ],
        },
      ],
      ...{ forgottenTopicsData: [], rackId: '' },
    })
    const answer = fetch.responses[0]!.partitions[0]!
    expect(answer.divergingEpoch).toMatchObject({ endOffset: 3 })
    expect(answer.records?.length ?? 0).toBe(0)
    const ends = await cluster.call(cluster.host(2), 'OffsetForLeaderEpoch', 4, {
      replicaId: -1,
      topics: [{ topic: TOPIC, partitions: [{ partition: 0, currentLeaderEpoch, leaderEpoch }] }],
    })
    expect(ends.topics[0]!.partitions[0]).toMatchObject({ errorCode: 0, endOffset: 3 })
  })
})
