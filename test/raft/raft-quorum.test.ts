/** The quorum of several voters under seeded faults: invariants after every event, and an end in which all are equal. */
import { describe, expect, it } from 'vitest'
import type { Prng } from '../../src/env/sim/prng.ts'
import { RaftCluster } from './support/raft-cluster.ts'
import type { Member } from './support/raft-cluster.ts'

const firstSeed = Number(process.env['SEED'] ?? 1)
const seedCount = Number(process.env['SIM_SEEDS'] ?? 24)
const CHAOS_MS = 6000

/** Which faults a seed has, and how hard. */
function drawFaults(random: Prng) {
  const rate = (max: number): number => (random.chance(0.5) ? random.between(0, max) : 0)
  return {
    voterCount: random.chance(0.6) ? 3 : 5,
    observerCount: random.below(2),
    hidesDisks: random.chance(0.3),
    snapshotRecordCount: random.pick([5, 20, 1000]),
    links: { lossRate: rate(0.2), repeatRate: rate(0.2), lateRate: rate(0.1) },
    crashes: random.chance(0.7),
    powerCuts: random.chance(0.7),
    diskPoints: random.chance(0.5),
    cuts: random.chance(0.7),
    pauses: random.chance(0.4),
    restarts: random.chance(0.3),
    everyMs: random.between(60, 500),
    drift: random.chance(0.3),
    voterChanges: random.chance(0.4),
  }
}

async function live(seed: number, keepsTrace = false): Promise<RaftCluster> {
  const draws = new RaftCluster({ seed, voterCount: 1 }).simulation.stream('faults')
  const faults = drawFaults(draws)
  const cluster = new RaftCluster({ seed, keepsTrace, ...faults })
  const { simulation, network, members } = cluster
  Object.assign(network.faults, faults.links)
  let isOver = false
  const random = simulation.stream('nemesis')
  const pick = (): Member => members[random.below(members.length)]!

  const work = (): void => {
    if (isOver) return
    for (const member of members) if (member.isLeader || random.chance(0.02)) void cluster.append(member)
    simulation.schedule(random.between(1, 40), 'append', work)
  }
  /** MQ-7: the last node, an observer or a voter, becomes a voter or ceases to be one, whoever leads. */
  const changeVoters = (): void => {
    const quorum = cluster.leader?.quorum ?? null
    const last = members.at(-1)!
    if (quorum === null) return
    const rest = quorum.describe().voters.filter(({ id }) => id !== last.id)
    const isVoter = rest.length < quorum.describe().voters.length
    const next = isVoter ? rest : [...rest, { id: last.id, directoryId: last.directoryId }]
    void quorum.changeVoters(next).then(
      (refusal) => {
        if (refusal === null) cluster.marks.voterChanges++
      },
      () => undefined, // it leads no more: whether the change was made, the log will tell
    )
  }
  const strike = (): void => {
    if (isOver) return
    if (faults.voterChanges && random.chance(0.2)) changeVoters()
    simulation.schedule(random.between(1, faults.everyMs), 'nemesis', strike)
    const member = random.chance(0.4) ? (cluster.leader ?? pick()) : pick()
    const kind = random.below(8)
    if (!member.node.isUp) {
      if (kind < 6) void cluster.start(member)
    } else if (kind === 0 && faults.crashes) cluster.kill(member, 'crash')
    else if (kind === 1 && faults.powerCuts) cluster.kill(member, 'powerCut')
    else if (kind === 2 && faults.diskPoints) {
      const point = member.node.disk.operationCount + 1 + random.below(12)
      member.node.disk.onOperation = (number) => {
        if (number === point) cluster.kill(member, random.chance(0.5) ? 'powerCut' : 'crash')
      }
    } else if (kind === 3 && faults.cuts) {
      if (random.chance(0.5)) network.isolate(member.id, cluster.ids)
      else network.cut(member.id, pick().id)
    } else if (kind === 4 && faults.pauses) {
      member.node.pause()
      simulation.schedule(random.between(10, 800), 'resume', () => member.node.resume())
    } else if (kind === 5 && faults.restarts && member.quorum !== null) {
      const quorum = member.quorum
      void quorum.close().then(() => {
        if (member.quorum !== quorum) return
        cluster.kill(member, 'crash')
        if (isOver) void cluster.start(member)
      })
    } else if (kind >= 6) network.heal()
  }
  if (faults.drift) for (const { node } of members) node.time.setDrift(random.between(-50_000, 50_000))
  void cluster.startAll()
  work()
  strike()
  await simulation.run(CHAOS_MS)
  isOver = true
  await cluster.settle()
  return cluster
}

describe('the metadata quorum under faults', () => {
  console.log(`raft swarm: SEED=${firstSeed} SIM_SEEDS=${seedCount}`)
  const marks = new Map<string, number>()
  const seeds = Array.from({ length: seedCount }, (_, index) => firstSeed + index)

  it.each(seeds)(
    'seed %i: M1, M2, M3, M4, M5, M6, M11 hold after every event, and all are equal in the end (S3)',
    async (seed) => {
      const cluster = await live(seed)
      expect(cluster.oracle.acked.size).toBeGreaterThan(0)
      for (const [mark, count] of Object.entries(cluster.marks))
        marks.set(mark, (marks.get(mark) ?? 0) + count)
    },
  )

  it('took every rare path at least once', () => {
    console.log(`raft swarm: ${JSON.stringify(Object.fromEntries(marks))}`)
    expect([...marks].filter(([, count]) => count === 0)).toEqual([])
  })

  it('S7: the same seed gives the same run', async () => {
    const first = await live(firstSeed)
    const second = await live(firstSeed)
    expect(second.simulation.trace.hash).toBe(first.simulation.trace.hash)
  })
})
