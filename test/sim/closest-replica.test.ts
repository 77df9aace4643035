/**
 * Reading from the closest replica (KIP-392) and hints at who leads (KIP-951), in a cluster of which each broker stands in a rack of
 * its own: who is sent where, what a follower gives away, and how a consumer finds back when that follower falls behind or dies.
 */
import { describe, expect, it } from 'vitest'
import type { RequestInputOf, ResponseOf } from '../../src/protocol/apis.ts'
import { errorByCode } from '../../src/protocol/errors.ts'
import { makeBatch, produceRequest } from '../broker/support/batches.ts'
import { SESSION_MS, SimCluster } from './support/sim-cluster.ts'
import type { Host } from './support/sim-cluster.ts'

const TOPIC = 'orders'
const NOBODY = -1

/** Broker n stands in rack `rn`; one partition with the preferred leader 1. */
async function start(seed: string): Promise<SimCluster> {
  const cluster = new SimCluster({ seed, settings: { 'leader.imbalance.check.interval.seconds': '300' } })
  await cluster.run(Promise.all(cluster.hosts.map((host) => cluster.begin(host, rackOf(host)))))
  await cluster.createTopic(TOPIC, { assignments: [[1, 2, 3]] })
  return cluster
}

const rackOf = ({ id }: Host) => ({ 'broker.rack': `r${id}` })

interface Fetched {
  readonly error: string
  readonly preferred: number
  readonly highWatermark: number
  readonly bytes: number
  readonly hint: number
  readonly endpoints: readonly string[]
}

function requestFor(
  cluster: SimCluster,
  rack: string,
  fetchOffset: number,
  options: { maxWaitMs?: number; leaderEpoch?: number } = {},
): RequestInputOf<'Fetch'> {
  const topicId = cluster.image.topicsByName.get(TOPIC)!.id
  return {
    ...{ maxWaitMs: options.maxWaitMs ?? 0, minBytes: 1, maxBytes: 100_000, isolationLevel: 0 },
    ...{ sessionId: 0, sessionEpoch: -1, forgottenTopicsData: [], rackId: rack },
    topics: [
      {
        topicId,
        partitions: [
          {
            ...{ partition: 0, currentLeaderEpoch: options.leaderEpoch ?? -1, fetchOffset },
            ...{ lastFetchedEpoch: -1, logStartOffset: -1, partitionMaxBytes: 100_000 },
          },
        ],
      },
    ],
  }
}

async function fetch(
  cluster: SimCluster,
  from: number,
  rack: string,
  fetchOffset: number,
  options: { leaderEpoch?: number } = {},
): Promise<Fetched> {
  const request = requestFor(cluster, rack, fetchOffset, options)
  return toFetched(await cluster.call(cluster.host(from), 'Fetch', 16, request))
}

function toFetched(answer: ResponseOf<'Fetch'>): Fetched {
  const one = answer.responses[0]!.partitions[0]!
  return {
    error: errorByCode(one.errorCode).name,
    preferred: one.preferredReadReplica,
    highWatermark: one.highWatermark,
    bytes: one.records?.length ?? 0,
    hint: one.currentLeader.leaderId,
    endpoints: answer.nodeEndpoints.map(
      ({ nodeId, host, port, rack: where }) => `${nodeId} ${host}:${port} ${where}`,
    ),
  }
}

async function produce(cluster: SimCluster, count: number): Promise<void> {
  for (let index = 0; index < count; index++) {
    const request = produceRequest({ name: TOPIC }, makeBatch(), { timeoutMs: 5000 })
    const { responses } = await cluster.call(cluster.leader(TOPIC)!, 'Produce', 11, request)
    expect(errorByCode(responses[0]!.partitionResponses[0]!.errorCode).name).toBe('NONE')
  }
}

function cutOff(cluster: SimCluster, id: number): void {
  const others = cluster.hosts.filter((host) => host.id !== id).map(({ name }) => name)
  cluster.simulation.network.partition([cluster.host(id).name], others)
}

describe('A consumer that names its rack', () => {
  it('KIP-392: is sent by the leader to the in-sync replica in its rack, which gives it what is committed', async () => {
    const cluster = await start('sent')
    await produce(cluster, 3)
    expect(await fetch(cluster, 1, 'r2', 0)).toMatchObject({ error: 'NONE', preferred: 2, bytes: 0 })
    expect(await fetch(cluster, 1, 'r3', 0)).toMatchObject({ error: 'NONE', preferred: 3, bytes: 0 })
    // At the leader's own rack, in one that has no replica, and without a rack, the leader it is.
    for (const rack of ['r1', 'r9', '']) {
      const found = await fetch(cluster, 1, rack, 0)
      expect([rack, found.preferred, found.bytes > 0]).toEqual([rack, NOBODY, true])
    }
    await cluster.pass(100)
    const found = await fetch(cluster, 2, 'r2', 0)
    expect(found).toMatchObject({ error: 'NONE', preferred: NOBODY, highWatermark: 3 })
    expect(found.bytes).toBeGreaterThan(0)
  })

  it('KIP-392: waits at the follower, and is answered when the high watermark there has moved', async () => {
    const cluster = await start('waits')
    await produce(cluster, 1)
    await cluster.pass(100)
    const startMs = cluster.simulation.nowMs
    const reader = await cluster.rawClient(cluster.host(3), 'reader')
    const waiting = reader.call('Fetch', 16, requestFor(cluster, 'r3', 1, { maxWaitMs: 10_000 }))
    await produce(cluster, 1)
    const found = toFetched(await cluster.run(waiting))
    expect(found).toMatchObject({ error: 'NONE', highWatermark: 2 })
    expect(found.bytes).toBeGreaterThan(0)
    expect(cluster.simulation.nowMs - startMs).toBeLessThan(500)
  })

  it('R8 KIP-392: is given nothing by a follower that the leader has not told is committed', async () => {
    const cluster = await start('committed only')
    await produce(cluster, 2)
    await cluster.pass(100)
    // Both followers have what comes next; that it is committed one of them does not hear.
    cutOff(cluster, 2)
    expect(await fetch(cluster, 2, 'r2', 2)).toMatchObject({ error: 'NONE', bytes: 0, highWatermark: 2 })
    await cluster.run(() => !cluster.partition(TOPIC).isr.includes(2), 5 * SESSION_MS)
    await produce(cluster, 3)
    expect(await fetch(cluster, 2, 'r2', 2)).toMatchObject({ bytes: 0, highWatermark: 2 })
  })

  it('KIP-392: is sent back by a follower that is behind, and kept by the leader until that one is in sync again', async () => {
    const cluster = await start('behind')
    await produce(cluster, 2)
    cutOff(cluster, 2)
    await cluster.run(() => !cluster.partition(TOPIC).isr.includes(2), 5 * SESSION_MS)
    await produce(cluster, 3)
    // It knows no better than that it may come yet; clients go back to the leader with that.
    expect(await fetch(cluster, 2, 'r2', 5)).toMatchObject({ error: 'OFFSET_NOT_AVAILABLE', bytes: 0 })
    const kept = await fetch(cluster, 1, 'r2', 2)
    expect([kept.error, kept.preferred, kept.bytes > 0]).toEqual(['NONE', NOBODY, true])
    cluster.simulation.network.heal()
    await cluster.untilWhole()
    expect(await fetch(cluster, 1, 'r2', 2)).toMatchObject({ preferred: 2 })
    const found = await fetch(cluster, 2, 'r2', 2)
    expect([found.error, found.bytes > 0]).toEqual(['NONE', true])
  })

  it('KIP-392: is kept by the leader while the broker in its rack is down, and sent there again when that is back', async () => {
    const cluster = await start('down')
    await produce(cluster, 2)
    expect((await fetch(cluster, 1, 'r3', 0)).preferred).toBe(3)
    cluster.kill(cluster.host(3), 'crash')
    await cluster.run(() => !cluster.partition(TOPIC).isr.includes(3), 5 * SESSION_MS)
    const kept = await fetch(cluster, 1, 'r3', 0)
    expect([kept.preferred, kept.bytes > 0]).toEqual([NOBODY, true])
    void cluster.revive(cluster.host(3), rackOf(cluster.host(3)))
    await cluster.untilWhole()
    expect((await fetch(cluster, 1, 'r3', 0)).preferred).toBe(3)
  })

  it('KIP-392: is never sent in a circle: a replica in its rack that leads by now serves it itself', async () => {
    const cluster = await start('circle')
    await produce(cluster, 2)
    await cluster.run(cluster.end(cluster.host(1), 'close'))
    await cluster.run(() => ![null, cluster.host(1)].includes(cluster.leader(TOPIC)))
    const { id } = cluster.leader(TOPIC)!
    const found = await fetch(cluster, id, `r${id}`, 0)
    expect([found.error, found.preferred, found.bytes > 0]).toEqual(['NONE', NOBODY, true])
  })
})

describe('A client that asks who led before', () => {
  it('KIP-951: is told who leads now, in which epoch, and where that is, by Fetch and by Produce', async () => {
    const cluster = await start('hints')
    await produce(cluster, 1)
    const { leaderEpoch } = cluster.partition(TOPIC)
    await cluster.restart(cluster.host(1), 'close', rackOf(cluster.host(1)))
    await cluster.untilWhole()
    const leader = cluster.leader(TOPIC)!.id
    expect(leader).not.toBe(1)
    const where = `${leader} b${leader}:9092 r${leader}`
    expect(await fetch(cluster, 1, '', 0)).toMatchObject({
      ...{ error: 'NOT_LEADER_OR_FOLLOWER', hint: leader, endpoints: [where] },
    })
    // A consumer of its rack may read there, but not in an epoch that is over.
    expect(await fetch(cluster, 1, 'r1', 0, { leaderEpoch })).toMatchObject({
      ...{ error: 'FENCED_LEADER_EPOCH', hint: leader, endpoints: [where] },
    })
    const request = produceRequest({ name: TOPIC }, makeBatch(), { timeoutMs: 1000 })
    const answer = await cluster.call(cluster.host(1), 'Produce', 11, request)
    const one = answer.responses[0]!.partitionResponses[0]!
    expect(errorByCode(one.errorCode).name).toBe('NOT_LEADER_OR_FOLLOWER')
    expect(one.currentLeader).toEqual({
      leaderId: leader,
      leaderEpoch: cluster.partition(TOPIC).leaderEpoch,
    })
    expect(answer.nodeEndpoints).toMatchObject([{ nodeId: leader, host: `b${leader}`, port: 9092 }])
  })
})
