/**
 * More named scenarios of replication (docs/faults.md section 3 and 5.1): what readers see over fail-overs, where logs are cut,
 * metadata that comes late and all at once, and a set of in-sync replicas that flaps at its smallest size.
 */
import { describe, expect, it } from 'vitest'
import { readBatchHeader } from '../../src/records/batch-header.ts'
import type { LogSlice } from '../../src/log/partition-log.ts'
import { makeBatch } from '../log/support.ts'
import type { ClusterOptions, Produced } from './support/replica-cluster.ts'
import { ReplicaCluster } from './support/replica-cluster.ts'
import type { NodeLife } from './support/replica-node.ts'

const THREE = { nodes: 3, partitions: [[1, 2, 3]], minIsr: 2 } as const

function start(seed: string, options: Partial<ClusterOptions> = {}): Promise<ReplicaCluster> {
  return ReplicaCluster.start({ seed, ...THREE, ...options })
}

async function settle(cluster: ReplicaCluster): Promise<void> {
  await cluster.until(() => cluster.isWhole())
  await cluster.simulation.runUntil(cluster.invariants.checkEqual())
}

/** Appends at a node that takes itself for the leader, and tells nobody. */
function appendAlone(life: NodeLife, count: number): void {
  for (let index = 0; index < count; index++) {
    const batch = makeBatch({ tag: 9 })
    life.partition(0)!.appendAsLeader(batch, readBatchHeader(batch))
  }
}

function produceAt(cluster: ReplicaCluster, life: NodeLife): { outcome: Produced | null } {
  const result: { outcome: Produced | null } = { outcome: null }
  const { topicId } = cluster.controller
  cluster.produce(life, topicId, 0, makeBatch(), -1, 600_000, (outcome) => (result.outcome = outcome))
  return result
}

/** What a consumer gets of a replica, from the beginning to its high watermark. */
async function readCommitted(cluster: ReplicaCluster, id: number): Promise<Buffer> {
  const partition = cluster.life(id)!.partition(0)!
  const { highWatermark } = partition
  const chunks: Uint8Array[] = []
  for (let offset = partition.log.logStartOffset; offset < highWatermark;) {
    const reading = partition.readCommitted(offset, 10_000, true)
    const slice: LogSlice = reading instanceof Promise ? await cluster.simulation.runUntil(reading) : reading
    chunks.push(...slice.chunks)
    offset = slice.endOffset
  }
  return Buffer.concat(chunks)
}

describe('Replicas whose logs part', () => {
  it('R9 R8: what a consumer was given at an offset it is given for ever, by any replica, over fail-overs', async () => {
    const cluster = await start('repeatable', { settings: { segmentBytes: 700, tailCacheBytes: 0 } })
    let seen: Buffer = Buffer.alloc(0)
    for (const next of [2, 3, 1, 2]) {
      for (let count = 0; count < 5; count++) await cluster.produceOnce(0)
      // A tail that nobody else has, and that the next leader overwrites.
      const old = cluster.leader(0)!
      for (const id of cluster.nodeIds) if (id !== old.id) cluster.links.block(id, old.id)
      appendAlone(old, 3)
      const { highWatermark } = old.partition(0)!
      expect(old.partition(0)!.log.logEndOffset).toBe(highWatermark + 3)
      cluster.controller.elect(0, next)
      cluster.links.heal()
      await cluster.produceOnce(0)
      await settle(cluster)
      for (const id of cluster.nodeIds) {
        const now = await readCommitted(cluster, id)
        expect(now.subarray(0, seen.length).equals(seen), `node ${id} after ${next} was elected`).toBe(true)
        if (id === cluster.nodeIds.at(-1)) seen = now
      }
    }
    expect(seen.length).toBeGreaterThan(20 * 70)
    expect(cluster.invariants.counts.cutsBelowOwnEnd).toBeGreaterThan(0)
  })

  it('R11: a log is cut down to where the leaders’ logs part, and no committed record with it', async () => {
    const cluster = await start('cut')
    for (let count = 0; count < 4; count++) await cluster.produceOnce(0)
    await settle(cluster)
    // Committed, and two that nobody else has; the high watermark of the old leader is as stale as it can be.
    cluster.links.block(2, 1)
    cluster.links.block(3, 1)
    appendAlone(cluster.life(1)!, 2)
    cluster.hold(1)
    cluster.controller.elect(0, 2)
    await cluster.until(() => cluster.life(2)!.partition(0)!.isLeader)
    let least = Infinity
    cluster.simulation.checks.push(() => {
      const log = cluster.life(1)?.partition(0)?.log
      if (log !== undefined) least = Math.min(least, log.logEndOffset)
    })
    for (let count = 0; count < 3; count++) await cluster.produceOnce(0)
    cluster.links.heal()
    cluster.release(1)
    await settle(cluster)
    expect(least).toBe(4)
    expect(cluster.life(1)!.partition(0)!.log.logEndOffset).toBe(7)
  })

  it('RP-2 R4: of two old tails at the same offsets the leader’s stays, which is of the older epoch and the longer one', async () => {
    const cluster = await start('two tails')
    await cluster.produceOnce(0)
    for (const from of [1, 2, 3]) for (const to of [1, 2, 3]) if (from !== to) cluster.links.block(from, to)
    appendAlone(cluster.life(1)!, 10)
    cluster.controller.elect(0, 2)
    await cluster.until(() => cluster.life(2)!.partition(0)!.isLeader)
    appendAlone(cluster.life(2)!, 3)
    cluster.controller.elect(0, 1)
    await cluster.until(
      () => cluster.life(1)!.partition(0)!.isLeader && !cluster.life(2)!.partition(0)!.isLeader,
    )
    expect([1, 2].map((id) => cluster.life(id)!.partition(0)!.log.logEndOffset)).toEqual([11, 4])
    cluster.links.heal()
    await settle(cluster)
    expect(cluster.life(2)!.partition(0)!.log.logEndOffset).toBeGreaterThanOrEqual(11)
  })

  it('R11: a cut that an earlier leader has asked for is not carried out in a later epoch', async () => {
    const cluster = await start('late cut')
    for (let count = 0; count < 4; count++) await cluster.produceOnce(0)
    await settle(cluster)
    const follower = cluster.life(3)!.partition(0)!
    cluster.controller.elect(0, 2)
    await settle(cluster)
    await cluster.produceOnce(0)
    // Answers are on their way for so long that the epoch in which they were given is over when they come.
    cluster.links.delayMs = [40, 60]
    for (const leader of [1, 3, 2, 1]) {
      cluster.controller.elect(0, leader)
      await cluster.pass(50)
    }
    cluster.links.delayMs = [0.05, 1]
    await settle(cluster)
    expect(follower.log.logEndOffset).toBeGreaterThanOrEqual(5)
  })

  it('R14: a follower joins when it has the high watermark and the epoch’s start in this epoch, and not before', async () => {
    const cluster = await start('join')
    cluster.links.block(3, 1)
    cluster.controller.fence(3)
    for (let count = 0; count < 6; count++) await cluster.produceOnce(0)
    await cluster.until(() => cluster.controller.isLive(3))
    // In the set by the word of the controller at the very moment it first has all: never with less.
    let atGrowth: number | null = null
    cluster.simulation.checks.push(() => {
      const leader = cluster.life(1)?.partition(0)?.leaderState
      if (atGrowth !== null || leader?.maximalIsr.includes(3) !== true) return
      atGrowth = cluster.life(3)!.partition(0)!.log.durableEndOffset
    })
    await cluster.pass(3000)
    expect(atGrowth).toBe(null)
    cluster.links.heal()
    await settle(cluster)
    expect(atGrowth).toBeGreaterThanOrEqual(6)
  })
})

describe('Metadata that comes late', () => {
  it('MQ-13: leaderships that went away and came back in one image are epochs all the same', async () => {
    // Followers try an unknown epoch again after a while, which must not be longer than the lag time.
    const cluster = await start('cycle', { settings: { replicaLagMsMax: 10_000 } })
    await cluster.produceOnce(0)
    const life = cluster.life(1)!
    const before = life.partition(0)!.leaderEpoch
    const state = life.partition(0)!.leaderState
    cluster.hold(1)
    for (const leader of [2, 3, 1]) cluster.controller.elect(0, leader)
    // It still leads as far as it knows: this is acknowledged by nobody, since the others follow a later epoch.
    const waiting = produceAt(cluster, life)
    await cluster.pass(120_000)
    expect([waiting.outcome, life.partition(0)!.leaderEpoch]).toEqual([null, before])
    life.learn(cluster.controller.image)
    cluster.release(1)
    await cluster.until(() => life.partition(0)!.leaderEpoch === before + 3)
    expect(life.partition(0)!.leaderState, 'positions of the old epoch are forgotten').not.toBe(state)
    await cluster.until(() => waiting.outcome !== null)
    expect(waiting.outcome).toEqual({ baseOffset: 1, lastOffset: 1 })
    expect(await cluster.produceOnce(0)).toEqual({ baseOffset: 2, lastOffset: 2 })
    await settle(cluster)
  })

  it('MQ-13: a follower that slept through its own leadership cuts what it wrote in it', async () => {
    const cluster = await start('slept')
    await cluster.produceOnce(0)
    cluster.hold(3)
    cluster.controller.elect(0, 3)
    cluster.controller.elect(0, 2)
    await cluster.until(() => cluster.life(2)!.partition(0)!.isLeader)
    for (let count = 0; count < 3; count++) await cluster.produceOnce(0)
    await cluster.pass(180_000)
    const life = cluster.life(3)!
    expect(life.partition(0)!.isLeader).toBe(false)
    life.learn(cluster.controller.image)
    cluster.release(3)
    await settle(cluster)
    expect(life.partition(0)!.log.logEndOffset).toBe(4)
  })

  it('MQ-13 RP-10: a replica that was taken away and given back in one image joins with a log fetched anew', async () => {
    const cluster = await start('away and back')
    for (let count = 0; count < 3; count++) await cluster.produceOnce(0)
    cluster.hold(3)
    cluster.controller.reassign(0, [1, 2])
    await cluster.produceOnce(0)
    cluster.controller.reassign(0, [1, 2, 3])
    await cluster.pass(120_000)
    expect(cluster.controller.partitions[0]!.isr).not.toContain(3)
    cluster.life(3)!.learn(cluster.controller.image)
    cluster.release(3)
    await settle(cluster)
  })
})

describe('The smallest set that takes records', () => {
  it('RP-23: flaps at min.insync.replicas for ten minutes while answers of the controller are late, lost and doubled: nothing acknowledged is lost, and records are taken again and again', async () => {
    const cluster = await start('flap', {
      controllerLoss: 0.3,
      settings: { replicaLagMsMax: 60, tailCacheBytes: 1000 },
    })
    cluster.controllerMs = [0.1, 150]
    const outcomes = new Map<string, number>()
    let ackedEnd = 0
    const endMs = cluster.simulation.nowMs + 600_000
    for (let round = 0; cluster.simulation.nowMs < endMs; round++) {
      // Two followers in turn are out of reach for longer than the lag time; now and then both.
      const id = 2 + (round % 2)
      cluster.links.block(id, 1)
      if (round % 5 === 0) cluster.links.block(5 - id, 1)
      const life = cluster.leader(0)
      if (life !== null) {
        const { topicId } = cluster.controller
        cluster.produce(life, topicId, 0, makeBatch(), -1, 500, (outcome) => {
          const name = typeof outcome === 'string' ? outcome : 'acknowledged'
          outcomes.set(name, (outcomes.get(name) ?? 0) + 1)
          if (typeof outcome !== 'string') ackedEnd = Math.max(ackedEnd, outcome.lastOffset + 1)
        })
      }
      await cluster.pass(cluster.random.between(30, 200))
      cluster.links.heal()
      await cluster.pass(cluster.random.between(0, 100))
    }
    cluster.controllerMs = [0.1, 3]
    await cluster.pass(1000)
    await settle(cluster)
    const { shrinks, growths } = cluster.controller.counts
    expect(Math.min(shrinks, growths)).toBeGreaterThan(300)
    expect(Math.min(cluster.counts.lateProposals, cluster.counts.lostOutcomes)).toBeGreaterThan(50)
    expect(outcomes.get('acknowledged')).toBeGreaterThan(100)
    expect(outcomes.get('NOT_ENOUGH_REPLICAS') ?? 0).toBeGreaterThan(10)
    expect(cluster.life(1)!.partition(0)!.highWatermark).toBeGreaterThanOrEqual(ackedEnd)
  }, 60_000)
})
