/** Named scenarios of docs/faults.md with the whole quorum: core, driver, log and simulated disk. */
import { describe, expect, it } from 'vitest'
import { Controller } from '../../src/controller/controller.ts'
import { Simulation } from '../../src/env/sim/simulation.ts'
import { clusterConfigShape } from '../../src/metadata/broker-config.ts'
import { resolveConfigs } from '../../src/metadata/config-resolution.ts'
import { imageHash } from '../../src/metadata/snapshot.ts'
import { RaftQuorum } from '../../src/raft/raft-quorum.ts'
import { InProcessRaftHub } from '../../src/raft/raft-transport.ts'
import { directoryId, RaftCluster, SIM_SETTINGS } from './support/raft-cluster.ts'
import type { Member } from './support/raft-cluster.ts'

const seed = Number(process.env['SEED'] ?? 1)
console.log(`raft scenarios: SEED=${seed}`)

async function newCluster(name: string, options: { voterCount?: number; observerCount?: number } = {}) {
  const cluster = new RaftCluster({
    seed: `${seed} ${name}`,
    voterCount: 3,
    snapshotRecordCount: 8,
    ...options,
  })
  void cluster.startAll()
  await cluster.untilLeader()
  return cluster
}

async function append(cluster: RaftCluster, member: Member, count = 1): Promise<void> {
  for (let index = 0; index < count; index++) {
    const isAcked = await cluster.simulation.runUntil(cluster.append(member), 5000)
    expect(isAcked).toBe(true)
  }
}

/** Virtual time goes on. */
const pass = (cluster: RaftCluster, ms: number): Promise<void> =>
  cluster.simulation.run(cluster.simulation.nowMs + ms)

const others = (cluster: RaftCluster, member: Member): Member[] =>
  cluster.members.filter((other) => other !== member)

describe('RaftQuorum', () => {
  it('MQ-4, MQ-12: an isolated leader stops deciding in bounded time, and its appends are not acknowledged', async () => {
    const cluster = await newCluster('isolated')
    const leader = cluster.leader!
    await append(cluster, leader)
    cluster.network.isolate(leader.id, cluster.ids)
    const quorum = leader.quorum!
    const outcome = quorum.append(quorum.leaderEpoch, [new Uint8Array([1])]).catch((error: unknown) => error)
    await pass(cluster, SIM_SETTINGS.checkQuorumMs + 10)
    expect(quorum.leaderId).toBeNull()
    await expect(outcome).resolves.toMatchObject({ code: 'QUORUM_LEADERSHIP_LOST' })
    await cluster.untilLeader()
    expect(cluster.leader).not.toBe(leader)
    await append(cluster, cluster.leader!, 3)
    await cluster.settle()
  })

  it('a leader that closes hands over without an election time-out', async () => {
    const cluster = await newCluster('hand over')
    const leader = cluster.leader!
    await append(cluster, leader, 5)
    await pass(cluster, 20)
    const leftMs = cluster.simulation.nowMs
    await cluster.simulation.runUntil(leader.quorum!.close(), 1000)
    cluster.kill(leader, 'crash')
    await cluster.untilLeader()
    expect(cluster.simulation.nowMs - leftMs).toBeLessThan(SIM_SETTINGS.electionTimeoutMs)
    await cluster.settle()
  })

  it('MQ-5, S6: without faults nobody is elected again, and a one-way link raises no epoch', async () => {
    const cluster = await newCluster('calm')
    const leader = cluster.leader!
    const epoch = leader.quorum!.leaderEpoch
    await pass(cluster, 5000)
    const deaf = others(cluster, leader)[0]!
    for (const other of others(cluster, deaf)) cluster.network.cut(other.id, deaf.id)
    await pass(cluster, 5000)
    expect(cluster.leader).toBe(leader)
    cluster.network.heal()
    await pass(cluster, 1000)
    await append(cluster, leader)
    expect(leader.quorum!.leaderEpoch).toBe(epoch)
    expect(cluster.marks.elections).toBe(1)
    await cluster.settle()
  })

  it('MQ-6, M10: a voter that lost its disk elects nobody who lacks what it had acknowledged', async () => {
    const cluster = await newCluster('wiped')
    const leader = cluster.leader!
    const [lost, behind] = others(cluster, leader) as [Member, Member]
    cluster.network.isolate(behind.id, cluster.ids)
    await append(cluster, leader, 3)
    cluster.kill(leader, 'crash')
    cluster.wipe(lost)
    cluster.network.heal()
    void cluster.start(lost)
    await pass(cluster, 5000)
    expect(cluster.leader).toBeNull()
    void cluster.start(leader)
    await cluster.untilLeader()
    expect([leader, behind]).toContain(cluster.leader)
    await cluster.settle()
  })

  it('MQ-6, MQ-7, M8: the new disk takes the place of the lost one: removed, then added, and counted from then on', async () => {
    const cluster = await newCluster('replaced')
    const leader = cluster.leader!
    const [lost, other] = others(cluster, leader) as [Member, Member]
    await append(cluster, leader, 30)
    cluster.wipe(lost)
    void cluster.start(lost)
    await pass(cluster, 500)
    const quorum = leader.quorum!
    const replaced = cluster.bootstrap.map((voter) =>
      voter.id === lost.id ? { id: lost.id, directoryId: directoryId(lost.id, 2) } : voter,
    )
    expect(await quorum.changeVoters(replaced)).toBe('too-much')
    const without = cluster.bootstrap.filter(({ id }) => id !== lost.id)
    expect(await cluster.simulation.runUntil(quorum.changeVoters(without), 2000)).toBeNull()
    expect(await cluster.simulation.runUntil(quorum.changeVoters(replaced), 2000)).toBeNull()
    cluster.kill(other, 'powerCut')
    await append(cluster, leader, 20)
    cluster.kill(leader, 'powerCut')
    void cluster.start(other)
    await cluster.untilLeader()
    // Only the new disk has everything.
    expect(cluster.leader).toBe(lost)
    // Its voters come from its snapshot and log, not from the configuration.
    cluster.kill(lost, 'powerCut')
    void cluster.start(lost)
    await cluster.untilLeader()
    expect(cluster.leader!.quorum!.describe().voters).toEqual(replaced)
    await cluster.settle()
  })

  it('MQ-7, M8: a leader that is removed while appends run leads to the end of it; the rest goes on', async () => {
    const cluster = await newCluster('removed')
    const leader = cluster.leader!
    const appended = Array.from({ length: 5 }, () => cluster.append(leader))
    const rest = cluster.bootstrap.filter(({ id }) => id !== leader.id)
    const removed = leader.quorum!.changeVoters(rest)
    expect(await cluster.simulation.runUntil(removed, 2000)).toBeNull()
    expect(await Promise.all(appended)).toEqual([true, true, true, true, true])
    await cluster.simulation.runUntil(() => cluster.leader !== null && cluster.leader !== leader, 5000)
    await pass(cluster, 3000)
    expect(leader.quorum!.role).toBe('follower')
    await cluster.settle()
  })

  it.each(['powerCut', 'crash'] as const)(
    'MQ-8, MQ-9, ST-12: %s before any step of the installation of a snapshot leaves a node that comes to the same state',
    async (kind) => {
      let isWhole = false
      for (let point = 1; !isWhole; point++) {
        expect(point).toBeLessThan(500)
        const cluster = await newCluster(`install ${kind} ${point}`)
        const leader = cluster.leader!
        const behind = others(cluster, leader)[0]!
        await append(cluster, leader, 2)
        await pass(cluster, 100)
        cluster.kill(behind, 'crash')
        await append(cluster, leader, 40)
        // Its restart reads the log, and then takes the snapshot in the log's place.
        const before = cluster.marks.snapshotsInstalled
        const { disk } = behind.node
        const crashAt = disk.operationCount + point
        disk.onOperation = (number) => {
          if (number === crashAt) cluster.kill(behind, kind)
        }
        void cluster.start(behind)
        await pass(cluster, 500)
        isWhole = behind.node.isUp
        if (isWhole) expect(cluster.marks.snapshotsInstalled).toBe(before + 1)
        await cluster.settle()
        // Once more from what is on disk now.
        cluster.kill(behind, 'powerCut')
        void cluster.start(behind)
        await cluster.settle()
        if (isWhole) expect(point).toBeGreaterThan(20)
      }
    },
  )

  it('D4: a node whose sync fails stops, alone; the others go on, and it comes back after a restart', async () => {
    const cluster = await newCluster('sync fails')
    const leader = cluster.leader!
    await append(cluster, leader, 3)
    cluster.mayFail.add(leader.id)
    leader.node.disk.fail({ kind: 'sync' })
    await cluster.simulation.runUntil(cluster.append(leader), 5000)
    expect(leader.listener!.failure).toMatchObject({ code: 'QUORUM_FAILED' })
    expect(leader.quorum!.leaderId).toBeNull()
    await cluster.simulation.runUntil(() => cluster.leader !== null && cluster.leader !== leader, 5000)
    await append(cluster, cluster.leader!, 3)
    cluster.kill(leader, 'crash')
    await cluster.settle()
  })

  it('ST-8: a full disk of a follower stops nothing; one of the leader refuses, and another leads while it has no room', async () => {
    const cluster = await newCluster('full')
    const leader = cluster.leader!
    const [follower] = others(cluster, leader) as [Member, Member]
    await append(cluster, leader, 3)
    const free = follower.node.disk.freeBytes
    follower.node.disk.freeBytes = 10
    await append(cluster, leader, 5)
    follower.node.disk.freeBytes = free
    const leaderFree = leader.node.disk.freeBytes
    leader.node.disk.freeBytes = 10
    expect(await cluster.simulation.runUntil(cluster.append(leader), 5000)).toBe(false)
    await cluster.simulation.runUntil(() => ![null, leader].includes(cluster.leader), 5000)
    await append(cluster, cluster.leader!, 3)
    leader.node.disk.freeBytes = leaderFree
    await cluster.settle()
  })

  it('S3: every voter of five loses power at once, again and again, and nothing acknowledged is lost', async () => {
    const cluster = await newCluster('all at once', { voterCount: 5 })
    for (let round = 0; round < 8; round++) {
      await append(cluster, await cluster.untilLeader(), 4)
      for (let index = 0; index < 3; index++) void cluster.append(cluster.leader!)
      await pass(cluster, cluster.simulation.workload.between(0, 5))
      for (const member of cluster.members) cluster.kill(member, 'powerCut')
      for (const member of cluster.members) void cluster.start(member)
    }
    await cluster.settle()
  })

  it('MQ-10, M6: the image of three nodes is the same, live, replayed and from snapshots', async () => {
    const simulation = new Simulation({ seed: `${seed} images` })
    const hub = new InProcessRaftHub({
      after: (delayMs, task) => simulation.schedule(delayMs + simulation.workload.between(0, 1), 'hub', task),
    })
    const ids = [1, 2, 3]
    const voters = ids.map((id) => ({ id, directoryId: directoryId(id) }))
    const start = async (nodeId: number, env = simulation.env(`n${nodeId}`)) => {
      await env.files.makeDirectory('/data')
      await env.files.syncDirectory('/')
      const quorum = await RaftQuorum.open(env, {
        directory: '/data',
        nodeId,
        directoryId: directoryId(nodeId),
        voters,
        transport: hub.join(nodeId),
        settings: SIM_SETTINGS,
        snapshotRecordCount: 10,
        segmentBytes: 1024,
      })
      const cluster = resolveConfigs(clusterConfigShape, [])
      const controller = new Controller(env, quorum, { nodeId, staticEntries: new Map(), cluster })
      await controller.start()
      return { quorum, controller }
    }
    const nodes = await simulation.runUntil(Promise.all(ids.map((id) => start(id))), 5000)
    const leading = (): (typeof nodes)[number] | undefined =>
      nodes.find(({ quorum }) => quorum.leaderId === quorum.nodeId)
    await simulation.runUntil(() => leading() !== undefined, 5000)
    const registered = leading()!.controller.registerBroker({
      brokerId: 1,
      incarnationId: directoryId(9),
      listeners: [{ name: 'A', host: 'h', port: 1, securityProtocol: 0 }],
      rack: null,
      logDirs: [],
    })
    const { brokerEpoch } = await simulation.runUntil(registered, 5000)
    const heartbeat = {
      brokerId: 1,
      brokerEpoch,
      metadataEndOffset: 1e9,
      wantsFence: false,
      wantsShutdown: false,
    }
    await simulation.runUntil(leading()!.controller.heartbeat(heartbeat), 5000)
    for (let index = 0; index < 20; index++) {
      const topic = {
        name: `t${index}`,
        numPartitions: 3,
        replicationFactor: 1,
        assignments: [],
        configs: [],
      }
      const request = { topics: [topic], timeoutMs: 10_000, validateOnly: false }
      const answer = await simulation.runUntil(leading()!.controller.createTopics(request), 5000)
      expect(answer.topics[0]!.errorCode).toBe(0)
    }
    const hashes = (): string[] => nodes.map(({ controller }) => imageHash(controller.image))
    await simulation.runUntil(() => new Set(hashes()).size === 1, 5000)
    expect(nodes[0]!.controller.image.topicsByName.size).toBe(20)
    // Again from disk: one node has to replay what the others lived.
    const restarted = nodes.findIndex((node) => node !== leading())
    await simulation.runUntil(nodes[restarted]!.quorum.close(), 5000)
    simulation.node(`n${restarted + 1}`).crash()
    nodes[restarted] = await simulation.runUntil(
      start(restarted + 1, simulation.node(`n${restarted + 1}`).restart()),
      5000,
    )
    await simulation.runUntil(() => new Set(hashes()).size === 1, 5000)
  })
})
