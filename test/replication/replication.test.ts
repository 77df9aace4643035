/**
 * Named scenarios of replication (docs/faults.md 5.1): real logs, sessions and fetchers on nodes with simulated disks and
 * links; an oracle plays the controller. The invariants hold after every event besides what a test says.
 */
import { describe, expect, it } from 'vitest'
import { readBatchHeader } from '../../src/records/batch-header.ts'
import { USUAL_LATENCY } from '../../src/env/sim/sim-disk.ts'
import { makeBatch } from '../log/support.ts'
import { TOPIC } from './support/oracle-controller.ts'
import type { ClusterOptions, Produced } from './support/replica-cluster.ts'
import { ReplicaCluster } from './support/replica-cluster.ts'
import type { NodeLife } from './support/replica-node.ts'

const THREE = { nodes: 3, partitions: [[1, 2, 3]], minIsr: 2 } as const
const TWO = { nodes: 2, partitions: [[1, 2]], minIsr: 1 } as const

function start(seed: string, options: Partial<ClusterOptions> = {}): Promise<ReplicaCluster> {
  return ReplicaCluster.start({ seed, ...THREE, ...options })
}

/** Appends at a node, whoever it takes itself for, and tells what becomes of it. */
function produceAt(
  cluster: ReplicaCluster,
  life: NodeLife,
  timeoutMs = 60_000,
): { outcome: Produced | null } {
  const result: { outcome: Produced | null } = { outcome: null }
  const { topicId } = cluster.controller
  cluster.produce(life, topicId, 0, makeBatch(), -1, timeoutMs, (outcome) => (result.outcome = outcome))
  return result
}

const isrOf = (cluster: ReplicaCluster): readonly number[] =>
  [...cluster.controller.partitions[0]!.isr].sort()

async function settle(cluster: ReplicaCluster): Promise<void> {
  await cluster.until(() => cluster.isWhole())
  await cluster.simulation.runUntil(cluster.invariants.checkEqual())
}

/** A slow disk: what is appended here is not durable for long. */
function slow(cluster: ReplicaCluster, id: number): void {
  cluster.node(id).disk.latency = { ...USUAL_LATENCY, sync: [5000, 5000] }
}

describe('Replicas', () => {
  it('R13 R16: acknowledge what is durable on all that are in sync, and are equal', async () => {
    const cluster = await start('three')
    for (let count = 0; count < 20; count++)
      expect(await cluster.produceOnce(0)).toEqual({ baseOffset: count, lastOffset: count })
    await settle(cluster)
    expect(cluster.invariants.counts.committedBatches).toBe(20)
  })

  it('acknowledge within a round trip and a sync, not at the next poll', async () => {
    const cluster = await start('latency')
    await cluster.pass(2000)
    cluster.links.delayMs = [0.1, 0.1]
    for (const id of cluster.nodeIds)
      cluster.node(id).disk.latency = {
        read: [0.01, 0.01],
        write: [0.01, 0.01],
        sync: [0.2, 0.2],
        names: [0, 0.01],
      }
    for (let count = 0; count < 20; count++) {
      const startMs = cluster.simulation.nowMs
      await cluster.produceOnce(0)
      // Leader to follower 0.1, its write and sync 0.2, back 0.1; and turns of up to 0.1 each.
      expect(cluster.simulation.nowMs - startMs).toBeLessThan(1.2)
      await cluster.pass(20)
    }
  })

  it('R7: do not commit what a follower has and could still lose', async () => {
    const cluster = await start('durable', TWO)
    slow(cluster, 2)
    const produced = produceAt(cluster, cluster.life(1)!)
    await cluster.pass(250)
    expect(cluster.life(2)!.partition(0)!.log.logEndOffset).toBe(1)
    expect([produced.outcome, cluster.life(1)!.partition(0)!.highWatermark]).toEqual([null, 0])
  })

  it('RP-1: a follower that restarts with an old high watermark keeps what it has', async () => {
    const cluster = await start('rp-1', TWO)
    await cluster.produceOnce(0)
    // At once: the follower has the record and has not heard that it is committed.
    expect(cluster.life(2)!.partition(0)!.highWatermark).toBe(0)
    cluster.links.block(2, 1)
    cluster.die(2, 'power cut')
    cluster.restart(2)
    await cluster.until(() => cluster.life(2)?.partition(0) !== null && cluster.life(2) !== null)
    expect(cluster.life(2)!.partition(0)!.log.logEndOffset).toBe(1)
  })

  it('RP-1: an acknowledged record outlives the leader that a follower had just heard of', async () => {
    const cluster = await start('rp-1 fail-over', TWO)
    await cluster.produceOnce(0)
    cluster.die(1, 'power cut')
    cluster.controller.fence(1)
    await cluster.until(() => cluster.leader(0)?.id === 2)
    await cluster.until(() => cluster.life(2)!.partition(0)!.highWatermark === 1)
    cluster.restart(1)
    await settle(cluster)
  })

  it('RP-3: a leader that has not heard of its successor commits nothing and gives nothing away', async () => {
    const cluster = await start('rp-3')
    cluster.hold(1)
    cluster.controller.elect(0, 2)
    const zombie = cluster.life(1)!
    const produced = produceAt(cluster, zombie)
    await cluster.until(() => cluster.life(2)!.partition(0)!.isLeader)
    await cluster.pass(60_000 - 1)
    expect([zombie.partition(0)!.isLeader, zombie.partition(0)!.highWatermark]).toEqual([true, 0])
    cluster.release(1)
    await cluster.pass(1000)
    expect(['NOT_LEADER_OR_FOLLOWER', 'REQUEST_TIMED_OUT']).toContain(produced.outcome)
    await settle(cluster)
  })

  it('R14 RP-5: a follower below the start of the epoch does not join, however low the high watermark is', async () => {
    const cluster = await start('rp-5', { minIsr: 3 })
    cluster.links.block(3, 1)
    await cluster.until(() => isrOf(cluster).length === 3)
    cluster.controller.fence(3)
    await cluster.until(() => isrOf(cluster).length === 2)
    // Nothing is committed below three, so the high watermark stands while the log grows.
    const life = cluster.life(1)!
    for (let count = 0; count < 5; count++) {
      const batch = makeBatch()
      life.partition(0)!.appendAsLeader(batch, readBatchHeader(batch))
    }
    await cluster.until(() => cluster.life(2)!.partition(0)!.log.durableEndOffset === 5)
    await cluster.until(() => cluster.controller.isLive(3))
    // It fetches, and has nothing of it on its disk.
    slow(cluster, 3)
    cluster.controller.elect(0, 2)
    await cluster.until(() => cluster.life(2)!.partition(0)!.leaderState?.position(3)?.durableEndOffset === 0)
    await cluster.pass(3000)
    expect([isrOf(cluster).includes(3), cluster.life(2)!.partition(0)!.highWatermark]).toEqual([false, 0])
    cluster.links.heal()
    await settle(cluster)
  })

  it('RP-6: counts a follower as soon as it proposes to take it in', async () => {
    const cluster = await start('rp-6')
    cluster.links.block(3, 1)
    cluster.controller.fence(3)
    await cluster.produceOnce(0)
    cluster.controllerMs = [2000, 2000]
    cluster.links.heal()
    await cluster.until(() => cluster.life(1)!.partition(0)!.leaderState!.maximalIsr.length === 3)
    slow(cluster, 3)
    const produced = produceAt(cluster, cluster.life(1)!)
    await cluster.until(() => cluster.life(2)!.partition(0)!.log.durableEndOffset === 2)
    await cluster.pass(50)
    expect(produced.outcome).toBe(null)
    await cluster.until(() => produced.outcome !== null)
  })

  it('RP-7: tells that there are not enough replicas, before an append and after it', async () => {
    const cluster = await start('rp-7', { minIsr: 3 })
    cluster.links.block(3, 1)
    const produced = produceAt(cluster, cluster.life(1)!)
    await cluster.until(() => produced.outcome !== null)
    expect(produced.outcome).toBe('NOT_ENOUGH_REPLICAS_AFTER_APPEND')
    expect(isrOf(cluster)).toEqual([1, 2])
    expect(await cluster.produceOnce(0)).toBe('NOT_ENOUGH_REPLICAS')
    await cluster.pass(1000)
    expect(cluster.life(1)!.partition(0)!.highWatermark).toBe(0)
    cluster.links.heal()
    await settle(cluster)
    expect(cluster.life(1)!.partition(0)!.highWatermark).toBe(1)
  })

  it('R14 RP-8: a fenced follower that still fetches does not come back into the in-sync set', async () => {
    const cluster = await start('rp-8')
    cluster.hold(3)
    cluster.controller.fence(3)
    await cluster.until(() => !isrOf(cluster).includes(3))
    for (let count = 0; count < 5; count++) {
      await cluster.produceOnce(0)
      await cluster.pass(100)
    }
    expect(cluster.life(3)!.partition(0)!.log.logEndOffset).toBe(5)
    expect([isrOf(cluster), cluster.controller.counts.ineligible]).toEqual([[1, 2], 0])
  })

  it('RP-9: the proposal for an incarnation that is gone is refused, however alive its successor is', async () => {
    const cluster = await start('rp-9')
    cluster.links.block(3, 1)
    cluster.controller.fence(3)
    await cluster.produceOnce(0)
    await cluster.until(() => cluster.controller.isLive(3) && isrOf(cluster).length === 2)
    // From now on every proposal takes long, so that one meets a broker that has begun another life.
    await cluster.pass(100)
    cluster.controllerMs = [1500, 1500]
    cluster.links.heal()
    await cluster.until(() => cluster.life(1)!.partition(0)!.leaderState!.maximalIsr.length === 3)
    cluster.die(3, 'power cut')
    cluster.restart(3)
    await cluster.until(() => cluster.life(3) !== null && cluster.life(3)!.brokerEpoch > 0)
    cluster.controller.unfence(3, cluster.life(3)!.brokerEpoch)
    const { growths } = cluster.controller.counts
    await cluster.until(() => cluster.controller.counts.ineligible === 1, 2000)
    expect([isrOf(cluster), cluster.controller.counts.growths]).toEqual([[1, 2], growths])
    await settle(cluster)
  })

  it('RP-10: a replica that was taken away and put back begins anew, and joins with what it has then', async () => {
    const cluster = await start('rp-10')
    for (let count = 0; count < 10; count++) await cluster.produceOnce(0)
    cluster.hold(3)
    cluster.controller.reassign(0, [1, 2])
    cluster.controller.reassign(0, [1, 2, 3])
    // It still fetches with its old log, in an epoch that is over.
    await cluster.pass(3000)
    expect(isrOf(cluster)).toEqual([1, 2])
    cluster.release(3)
    await settle(cluster)
    expect(cluster.life(3)!.partition(0)!.log.logEndOffset).toBe(10)
  })

  it('RP-14 S3: a follower that may not join holds up nobody', async () => {
    const cluster = await start('rp-14')
    cluster.hold(3)
    cluster.controller.fence(3)
    await cluster.until(() => cluster.life(1)!.partition(0)!.isr.length === 2)
    slow(cluster, 3)
    const startMs = cluster.simulation.nowMs
    await cluster.produceOnce(0)
    expect(cluster.simulation.nowMs - startMs).toBeLessThan(100)
  })

  it('RP-15 S6: who only touches a high watermark that cannot move does not join', async () => {
    const cluster = await start('rp-15', { minIsr: 3 })
    cluster.links.block(3, 1)
    await cluster.pass(10)
    for (let count = 0; count < 50; count++) {
      const batch = makeBatch()
      cluster.life(1)!.partition(0)!.appendAsLeader(batch, readBatchHeader(batch))
    }
    await cluster.until(() => isrOf(cluster).length === 2)
    cluster.links.heal()
    await settle(cluster)
    const { shrinks, growths } = cluster.controller.counts
    expect([shrinks, growths]).toEqual([1, 1])
    await cluster.pass(5000)
    expect(cluster.controller.counts.shrinks).toBe(1)
  })

  it('RP-16: an epoch in which nobody wrote does not make a follower go in circles', async () => {
    const cluster = await start('rp-16')
    await cluster.produceOnce(0)
    for (const leader of [2, 3, 1, 3, 2]) {
      cluster.controller.elect(0, leader)
      await cluster.until(() => cluster.isWhole())
    }
    await cluster.produceOnce(0)
    await settle(cluster)
    expect(cluster.invariants.counts.cutsBelowOwnEnd).toBe(0)
  })

  it('RP-17 R12: a follower behind the log start of its leader begins anew there, in the middle of a batch, too', async () => {
    for (const offset of [20, 21]) {
      const cluster = await start(`rp-17 ${offset}`, { minIsr: 1, settings: { segmentBytes: 600 } })
      cluster.die(3, 'crash')
      cluster.controller.fence(3)
      for (let count = 0; count < 20; count++) await cluster.produceOnce(0, -1, { records: 2 })
      await cluster.simulation.runUntil(cluster.life(1)!.partition(0)!.log.deleteRecordsBefore(offset))
      cluster.restart(3)
      await settle(cluster)
      await cluster.until(() => cluster.life(3)!.partition(0)!.log.logStartOffset === offset)
      await cluster.produceOnce(0)
      await settle(cluster)
    }
  })

  it('R12: deleted records are deleted at all who are in sync when that is answered', async () => {
    const cluster = await start('delete')
    for (let count = 0; count < 10; count++) await cluster.produceOnce(0)
    await cluster.pass(2000)
    const leader = cluster.life(1)!.partition(0)!
    const startMs = cluster.simulation.nowMs
    expect(await cluster.simulation.runUntil(leader.deleteRecordsBefore(7, 10_000))).toBe(null)
    const startsOf = () => cluster.nodeIds.map((id) => cluster.life(id)!.partition(0)!.log.logStartOffset)
    expect([startsOf(), cluster.simulation.nowMs - startMs < 50]).toEqual([[7, 7, 7], true])
    cluster.links.block(3, 1)
    const deadlineMs = cluster.life(1)!.env.clock.monotonicMs() + 100
    expect(await cluster.simulation.runUntil(leader.deleteRecordsBefore(8, deadlineMs))).toBe(
      'REQUEST_TIMED_OUT',
    )
    expect(startsOf()).toEqual([8, 8, 7])
  })

  it('RP-19: a late request of a connection that is gone moves nothing back', async () => {
    const cluster = await start('rp-19')
    cluster.links.delayMs = [1, 5]
    for (let round = 0; round < 30; round++) {
      const produced = produceAt(cluster, cluster.life(1)!)
      // Some of the follower's requests are under way then: its fetch from the new end, or what it made durable.
      await cluster.pass(3 + (round % 10))
      cluster.links.cut(2, 1)
      cluster.links.cut(3, 1)
      await cluster.until(() => produced.outcome !== null)
    }
    await settle(cluster)
    expect(cluster.links.counts.lateRequests).toBeGreaterThan(0)
  })

  it('RP-21: nothing of a deleted topic comes into a new one of its name', async () => {
    const cluster = await start('rp-21')
    for (let count = 0; count < 5; count++) await cluster.produceOnce(0)
    cluster.hold(3)
    cluster.createTopic(THREE.partitions)
    await cluster.until(() => cluster.life(1)!.partition(0)?.topicId === cluster.controller.topicId)
    await cluster.until(() => cluster.leader(0)?.partition(0)?.isLeader === true)
    await cluster.pass(500)
    expect(cluster.life(1)!.registry.lookup(TOPIC, 0)).toMatchObject({ highWatermark: 0 })
    cluster.release(3)
    await settle(cluster)
    expect(cluster.life(3)!.partition(0)!.log.logEndOffset).toBe(0)
  })

  it('RP-21 RP-22: the high watermark of a deleted topic is not that of its successor, over a crash either', async () => {
    const cluster = await start('rp-22', { ...TWO, settings: { checkpointMs: 2000 } })
    for (let count = 0; count < 5; count++) await cluster.produceOnce(0)
    await cluster.pass(2100)
    cluster.createTopic(TWO.partitions)
    await cluster.until(() => cluster.isWhole())
    slow(cluster, 1)
    for (let count = 0; count < 5; count++) {
      const batch = makeBatch()
      cluster.life(1)!.partition(0)!.appendAsLeader(batch, readBatchHeader(batch))
    }
    await cluster.until(() => cluster.life(2)!.partition(0)!.log.durableEndOffset === 5)
    cluster.links.block(2, 1)
    cluster.die(2, 'crash')
    cluster.restart(2)
    await cluster.until(() => cluster.life(2)?.partition(0)?.isFollower === true)
    expect(cluster.life(2)!.partition(0)!.highWatermark).toBe(0)
  })

  it('KIP-207: a new leader does not tell an end that may go back', async () => {
    const cluster = await start('kip-207', TWO)
    await cluster.produceOnce(0)
    cluster.controller.elect(0, 2)
    await cluster.until(() => cluster.life(2)!.partition(0)!.isLeader)
    expect(cluster.life(2)!.partition(0)!.isEndUncertain).toBe(true)
    await cluster.until(() => cluster.isWhole())
    expect(cluster.life(2)!.partition(0)!.isEndUncertain).toBe(false)
  })

  it('the catch-up of one that is out of sync is bounded in bytes a second, and goes on', async () => {
    const settings = { catchUpBytesPerSecond: 1_000_000 }
    const cluster = await start('throttle', { minIsr: 1, settings })
    cluster.die(3, 'crash')
    cluster.controller.fence(3)
    for (let count = 0; count < 8; count++) await cluster.produceOnce(0, -1, { valueBytes: 900_000 })
    cluster.restart(3)
    await cluster.until(() => cluster.life(3)?.partition(0)?.isFollower === true)
    const startMs = cluster.simulation.nowMs
    await cluster.until(() => cluster.life(3)!.partition(0)!.log.logEndOffset === 8, 60_000)
    // 7.2 s in all; the first second is free, and three answers under way may overdraw it.
    expect(cluster.simulation.nowMs - startMs).toBeGreaterThan(3000)
    await settle(cluster)
  })
})
