/**
 * The metadata quorum over `Peers`, as brokers run it, in the simulated network: handshakes, connections that break, and
 * frames that are dropped, with the invariants of docs/raft.md checked after every event.
 */
import { describe, expect, it } from 'vitest'
import type { Connection, Env, ListenLimits, Logger } from '../../src/env/index.ts'
import type { RaftTransport } from '../../src/raft/raft-transport.ts'
import type { PeerLimits } from '../../src/rpc/peer-limits.ts'
import { Peers } from '../../src/rpc/peers.ts'
import { directoryId, RaftCluster } from './support/raft-cluster.ts'
import type { Member } from './support/raft-cluster.ts'

const firstSeed = Number(process.env['SEED'] ?? 1)
const seedCount = Number(process.env['SIM_SEEDS'] ?? 12)
const CHAOS_MS = 5000

const LISTEN_LIMITS: ListenLimits = {
  messageBytesMax: 1_000_000,
  connectionsMax: 1000,
  connectionsPerAddressMax: 1000,
  handshakeMs: 1000,
  idleMs: 600_000,
  messageMs: 10_000,
  sendHighWaterBytes: 100_000,
  sendStallMs: 10_000,
}
/** In proportion to the quorum's own settings in the simulation. */
const LIMITS: Partial<PeerLimits> = { handshakeMs: 60, idleMs: 60, retryFirstMs: 5, retryMaxMs: 60 }

interface World {
  readonly cluster: RaftCluster
  /** Of the present lives. */
  readonly peers: Map<number, Peers>
  readonly log: string[]
}

interface WorldOptions {
  readonly seed: number | string
  readonly voterCount: number
  readonly observerCount?: number
  readonly clusterIdOf?: (id: number) => string
  /** Nodes that others are not told of. */
  readonly unlisted?: ReadonlySet<number>
}

function makeWorld({ seed, voterCount, observerCount = 0, clusterIdOf, unlisted }: WorldOptions): World {
  const peers = new Map<number, Peers>()
  const log: string[] = []
  const transportOf = async (member: Member, env: Env): Promise<RaftTransport> => {
    let own: Peers | null = null
    await env.network.listen(
      {
        ...{ host: `n${member.id}`, port: 9092, protocols: ['websocket'], origins: [] },
        ...{ limits: LISTEN_LIMITS, takesPeers: true },
      },
      (connection: Connection) => own?.accept(connection),
    )
    own = new Peers(
      { ...env, logger: recording(`n${member.id}`, log) },
      {
        clusterId: clusterIdOf?.(member.id) ?? 'cluster',
        nodeId: member.id,
        directoryId: member.directoryId,
        secret: 'what the nodes know',
        addressOf: (id) => (unlisted?.has(id) === true ? null : `ws://n${id}:9092/`),
        limits: LIMITS,
      },
    )
    peers.set(member.id, own)
    return own.raft
  }
  const cluster = new RaftCluster({ seed, voterCount, observerCount, transportOf })
  return { cluster, peers, log }
}

function recording(name: string, log: string[]): Logger {
  const at = (level: string) => (message: string) => void log.push(`${level} ${name} ${message}`)
  return { debug: () => undefined, info: at('info'), warn: at('warn'), error: at('error') }
}

async function begun(options: WorldOptions): Promise<World> {
  const world = makeWorld(options)
  await world.cluster.simulation.runUntil(world.cluster.startAll(), 5000)
  return world
}

/** Appends at whoever leads until one is acknowledged. */
async function appendOne({ cluster }: World, limitMs = 5000): Promise<void> {
  const endMs = cluster.simulation.nowMs + limitMs
  for (;;) {
    const leader = await cluster.untilLeader(endMs - cluster.simulation.nowMs)
    const patience = new Promise<false>((resolve) =>
      cluster.simulation.schedule(500, 'patience', () => resolve(false)),
    )
    if (await cluster.simulation.runUntil(Promise.race([cluster.append(leader), patience]))) return
    expect(cluster.simulation.nowMs).toBeLessThan(endMs)
  }
}

describe.each([3, 5])('a quorum of %i over Peers', (voterCount) => {
  it('elects, commits, and all nodes come to the same', async () => {
    const world = await begun({ seed: firstSeed, voterCount })
    for (let count = 0; count < 20; count++) await appendOne(world)
    await world.cluster.settle()
    expect(world.cluster.oracle.acked.size).toBeGreaterThanOrEqual(20)
    expect(world.log.filter((line) => line.startsWith('error') || line.startsWith('warn'))).toEqual([])
  })

  it('loses its leader to a crash, to a power cut and to a pause, and goes on with what was acknowledged', async () => {
    const world = await begun({ seed: firstSeed, voterCount })
    const { cluster } = world
    for (const how of ['crash', 'powerCut', 'pause'] as const) {
      await appendOne(world)
      const old = await cluster.untilLeader()
      if (how === 'pause') old.node.pause()
      else cluster.kill(old, how)
      const isReplaced = () => cluster.leader !== null && cluster.leader !== old
      await cluster.simulation.runUntil(isReplaced, 3000)
      await cluster.simulation.runUntil(cluster.append(cluster.leader!), 3000)
      await cluster.settle()
    }
  })

  it('commits nothing on the smaller side of a partition, and on the larger goes on', async () => {
    const world = await begun({ seed: firstSeed, voterCount })
    const { cluster } = world
    await appendOne(world)
    const old = await cluster.untilLeader()
    const others = cluster.members.filter((member) => member !== old).map(({ node }) => node.name)
    cluster.simulation.network.partition([old.node.name], others)
    let isAcked = false
    void cluster.append(old).then((answer) => (isAcked ||= answer))
    await cluster.simulation.runUntil(() => cluster.leader !== null && cluster.leader !== old, 3000)
    expect(await cluster.simulation.runUntil(cluster.append(cluster.leader!), 3000)).toBe(true)
    expect(isAcked).toBe(false)
    await cluster.settle()
  })

  it('goes on with a link cut one way', async () => {
    const world = await begun({ seed: firstSeed, voterCount })
    const { cluster } = world
    await appendOne(world)
    const leader = await cluster.untilLeader()
    const other = cluster.members.find((member) => member !== leader)!
    cluster.simulation.network.cut(leader.node.name, other.node.name)
    for (let count = 0; count < 5; count++) await appendOne(world)
    await cluster.settle()
  })
})

describe('a quorum over Peers', () => {
  it('takes a wiped voter back as one that has no vote, once its old connections are seen to be dead (M10)', async () => {
    const world = await begun({ seed: firstSeed, voterCount: 3 })
    const { cluster } = world
    for (let count = 0; count < 5; count++) await appendOne(world)
    const leader = await cluster.untilLeader()
    const wiped = cluster.members.find((member) => member !== leader)!
    cluster.wipe(wiped)
    await cluster.simulation.runUntil(cluster.start(wiped), 3000)
    for (let count = 0; count < 5; count++) await appendOne(world)
    await cluster.settle()
    expect(wiped.directoryId).toBe(directoryId(wiped.id, 2))
    const { voters, replicas } = cluster.leader!.quorum!.describe()
    expect(voters).toContainEqual({ id: wiped.id, directoryId: directoryId(wiped.id, 1) })
    expect(replicas.map((replica) => replica.directoryId)).toContain(directoryId(wiped.id, 2))
  })

  it('gives metadata to an observer whose address nobody knows', async () => {
    const world = await begun({ seed: firstSeed, voterCount: 3, observerCount: 1, unlisted: new Set([4]) })
    for (let count = 0; count < 5; count++) await appendOne(world)
    await world.cluster.settle()
    expect(world.cluster.member(4).listener!.values.length).toBeGreaterThanOrEqual(5)
  })

  it('NW-2: refuses a node of another cluster with a clear error in both logs, and goes on without it', async () => {
    const clusterIds = new Map<number, string>()
    const clusterIdOf = (id: number): string => clusterIds.get(id) ?? 'cluster'
    const world = await begun({ seed: firstSeed, voterCount: 3, clusterIdOf })
    const { cluster, log, peers } = world
    await appendOne(world)
    await cluster.settle()
    clusterIds.set(3, 'another')
    cluster.kill(cluster.member(3), 'crash')
    await cluster.simulation.runUntil(cluster.start(cluster.member(3)), 5000)
    for (let count = 0; count < 5; count++) await appendOne(world)
    await cluster.simulation.run(cluster.simulation.nowMs + 1000)
    expect(cluster.leader!.id).not.toBe(3)
    expect(cluster.member(3).listener!.values).toEqual([])
    expect(peers.get(3)!.describe()).toEqual([])
    const errors = log.filter((line) => line.startsWith('error')).join('\n')
    expect(errors).toMatch(/^error n3 .*cluster "another" meets node [12] of cluster "cluster"/m)
    expect(errors).toMatch(/^error n[12] .*cluster "cluster" meets node 3 of cluster "another"/m)
    expect(errors.split('\n').length, 'said once for each link, not for each attempt').toBeLessThanOrEqual(4)
  })

  it('keeps what it acknowledged whatever happens to nodes and links', { timeout: 60_000 }, async () => {
    const marks = { elections: 0, acked: 0, disconnects: 0, refusals: 0, snapshots: 0 }
    for (let seed = firstSeed; seed < firstSeed + seedCount; seed++) {
      const world = await live(seed)
      marks.elections += world.cluster.marks.elections
      marks.acked += world.cluster.marks.acked
      marks.snapshots += world.cluster.marks.snapshotsInstalled
      marks.disconnects += world.log.filter((line) => line.includes('Node disconnected')).length
      marks.refusals += world.log.filter((line) => line.includes('Refused a node')).length
    }
    for (const [mark, count] of Object.entries(marks)) expect(count, mark).toBeGreaterThan(0)
  })

  it('S7: the same seed gives the same run', async () => {
    const first = await live(firstSeed)
    const second = await live(firstSeed)
    expect(second.cluster.simulation.trace.hash).toBe(first.cluster.simulation.trace.hash)
  })
})

/** A life under faults, to its good end. */
async function live(seed: number): Promise<World> {
  const world = makeWorld({ seed, voterCount: seed % 3 === 0 ? 5 : 3, observerCount: seed % 2 })
  const { cluster } = world
  const { simulation, members } = cluster
  const { network } = simulation
  const random = simulation.stream('nemesis')
  const pick = (): Member => members[random.below(members.length)]!
  let isOver = false
  const work = (): void => {
    if (isOver) return
    for (const member of members) if (member.isLeader) void cluster.append(member)
    simulation.schedule(random.between(1, 40), 'append', work)
  }
  const harm = (): void => {
    if (isOver) return
    const [a, b] = [pick(), pick()]
    const [from, to] = [a.node.name, b.node.name]
    const back = random.between(50, 600)
    const faults: (() => void)[] = [
      () => network.cut(from, to),
      () =>
        network.partition(
          [from],
          members.filter((member) => member !== a).map(({ node }) => node.name),
        ),
      () => network.reset(from, to),
      () => network.clog(from, to, back),
      () => network.delay(from, to, [0, random.between(1, 80)]),
      () => network.heal(),
      () => {
        if (!a.node.isUp || a.quorum === null) return
        cluster.kill(a, random.chance(0.5) ? 'crash' : 'powerCut')
        simulation.schedule(back, 'restart', () => {
          if (!a.node.isUp) void cluster.start(a)
        })
      },
      () => {
        if (!a.node.isUp) return
        a.node.pause()
        simulation.schedule(back, 'resume', () => a.node.resume())
      },
    ]
    faults[random.below(faults.length)]!()
    simulation.schedule(random.between(20, 300), 'fault', harm)
  }
  await simulation.runUntil(cluster.startAll(), 5000)
  work()
  harm()
  await simulation.run(CHAOS_MS)
  isOver = true
  await cluster.settle()
  return world
}
