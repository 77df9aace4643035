/**
 * Groups of the consumer protocol under everything at once: slow, still and dying members, lost requests and answers, topics
 * that change, a log that refuses, and coordinators that die and are followed by one that reads what was left of the log.
 * G1, G2 and G3 of faults.md after each event, G8 at the end; CG-3, CG-4 and CG-7 happen on the way.
 */
import { describe, expect, it } from 'vitest'
import type { Assignment } from '../../../../src/coordinator/groups/assignors/assignor.ts'
import { Prng } from '../../../../src/env/sim/prng.ts'
import { seedFromEnv } from '../../../support/seed.ts'
import { ModelClient } from './model-client.ts'
import type { ClientFaults } from './model-client.ts'
import { imageWith } from '../../support/topics-image.ts'
import { TestShard, contentOf } from './support.ts'

const seed = seedFromEnv('consumer group')
const RUNS = 10
const STEPS = 70
const STEP_MS_MAX = 2500
const SESSION_MS = 10_000
const REBALANCE_MS = 4000
const CLIENTS_MAX = 7
/** What is left to wait for once nothing goes wrong any more: sessions of the dead, revocations of the slow, and some rounds. */
const SETTLE_MS = SESSION_MS + REBALANCE_MS + 15_000
/** Reading the whole log costs more than the event that is checked. */
const EVENTS_PER_READ = 100

const PARTITIONS_MAX = 8

const TOPICS = ['a', 'b', 'c', 'd'] as const
const PATTERNS = ['[ab]', 'c|d', '.*', 'none.*'] as const

class Run {
  readonly shard: TestShard
  readonly clients: ModelClient[] = []
  readonly #prng: Prng
  readonly #faults: ClientFaults
  readonly #topics = new Map([
    ['a', 3],
    ['b', 4],
  ])
  #clientCount = 0
  #eventCount = 0

  constructor(runSeed: string) {
    this.#prng = new Prng(runSeed, 'clients')
    this.#faults = { loss: this.#prng.pick([0, 0.05, 0.3]), revokeMsMax: 2 * REBALANCE_MS, wayMsMax: 50 }
    this.shard = new TestShard({
      seed: runSeed,
      topics: Object.fromEntries(this.#topics),
      config: { consumerSessionTimeoutMs: SESSION_MS, consumerHeartbeatIntervalMs: 1000 },
      commitMs: () => (this.#prng.chance(0.1) ? 600 : this.#prng.between(0, 30)),
    })
    this.shard.sim.checks.push(() => this.check())
  }

  get live(): ModelClient[] {
    return this.clients.filter(({ isDead }) => !isDead)
  }

  step(): void {
    const prng = this.#prng
    const client = this.live.length === 0 ? null : this.live[prng.below(this.live.length)]!
    switch (prng.below(11)) {
      case 0:
      case 1:
        if (this.live.length < CLIENTS_MAX) this.#start(prng.chance(0.3) ? `i${prng.below(3)}` : null)
        return
      case 2:
        client?.die()
        return
      case 3:
        client?.leave(-1)
        return
      case 4:
        if (client !== null && client.instanceId !== null) {
          client.leave(-2)
          if (prng.chance(0.7)) this.#start(client.instanceId)
        }
        return
      case 5:
        if (client === null) return
        client.pause()
        this.shard.sim.schedule(prng.between(0, 2 * SESSION_MS), 'resumes', () => client.resume())
        return
      case 6:
        client?.subscribe(...this.#drawSubscription())
        return
      case 7:
        this.#drawTopics()
        this.shard.setTopics(Object.fromEntries(this.#topics))
        return
      case 8:
      case 9: {
        if (prng.chance(0.3)) this.changeTopicsUnseen()
        const { batches, committedBatches } = this.shard
        this.shard.crash(committedBatches + prng.below(batches.length - committedBatches + 1))
        return
      }
      case 10:
        this.shard.isRefusing = true
        this.shard.sim.schedule(
          prng.between(0, 3000),
          'refuses no more',
          () => (this.shard.isRefusing = false),
        )
    }
  }

  /** While nobody leads the shard: its next leader has to find out. */
  changeTopicsUnseen(): void {
    this.#drawTopics()
    this.shard.image = imageWith(Object.fromEntries(this.#topics))
  }

  heal(): void {
    this.#faults.loss = 0
    this.#faults.revokeMsMax = 100
    this.shard.isRefusing = false
    for (const client of this.live) client.resume()
    if (this.live.length === 0) this.#start(null)
  }

  check(): void {
    const { state, group } = this.shard
    const owners = new Map<string, string>()
    for (const { memberId, epoch, owned } of this.live) {
      const member = { memberId, groupInstanceId: null, generationIdOrMemberEpoch: epoch }
      const mayCommit = group.findCommitFault(member, 9, false) === null
      const present = state.members.get(memberId)
      must(epoch === 0 || mayCommit === (present?.epoch === epoch), 'G3', memberId, epoch)
      if (present === undefined) continue
      for (const partition of owned) {
        if (present.epoch === epoch) {
          const [topicId, index] = partition.split('/') as [string, string]
          must(
            state.ownerOf(topicId, Number(index)) === memberId,
            'G1: owns what it was not given',
            memberId,
            partition,
          )
        }
        must(!owners.has(partition), 'G1: two own', partition, memberId)
        owners.set(partition, memberId)
      }
    }
    must(state.assignmentEpoch <= state.epoch, 'Assignment epoch', state.assignmentEpoch)
    const held: Assignment[] = []
    for (const { assigned, revoking, epoch, memberId } of state.members.values()) {
      must(epoch <= state.assignmentEpoch, 'Member epoch', memberId, epoch)
      held.push(assigned, revoking)
    }
    mustBeDisjoint(held, 'G1: two hold')
    mustBeDisjoint(state.targets.values(), 'G2: two shall have')
    if (++this.#eventCount % EVENTS_PER_READ === 0) {
      expect(contentOf(this.shard.read().state)).toEqual(contentOf(state))
    }
  }

  checkSettled(): void {
    const { state, image } = this.shard
    const live = this.live
    expect(state.name, 'G8').toBe('Stable')
    expect([...state.members.keys()].sort()).toEqual(live.map(({ memberId }) => memberId).sort())
    const readBy = ({ topics, pattern }: ModelClient): string[] => {
      const matches = new RegExp(`^(?:${pattern ?? '$.'})$`)
      return [...image.topicsByName.keys()].filter((name) => topics.includes(name) || matches.test(name))
    }
    const wanted = new Set(
      live.flatMap(readBy).flatMap((name) => {
        const { id, partitions } = image.topicsByName.get(name)!
        return [...partitions.keys()].map((partition) => `${id}/${partition}`)
      }),
    )
    expect(live.flatMap(({ owned }) => [...owned]).sort(), 'G2').toEqual([...wanted].sort())
    for (const client of live) {
      const ids = readBy(client).map((name) => image.topicsByName.get(name)!.id)
      for (const partition of client.owned) expect(ids).toContain(partition.split('/')[0])
    }
  }

  #drawTopics(): void {
    const name = this.#prng.pick(TOPICS)
    const count = (this.#topics.get(name) ?? 0) + 1 + this.#prng.below(3)
    if (this.#prng.chance(0.2) || count > PARTITIONS_MAX) this.#topics.delete(name)
    else this.#topics.set(name, count)
  }

  #drawSubscription(): [string[], string | null] {
    const topics = TOPICS.filter(() => this.#prng.chance(0.5))
    return [topics, this.#prng.chance(0.3) ? this.#prng.pick(PATTERNS) : null]
  }

  #start(instanceId: string | null): void {
    if (instanceId !== null && this.live.some((client) => client.instanceId === instanceId)) return
    const [topics, pattern] = this.#drawSubscription()
    const memberId = `m${this.#clientCount++}`
    const is = { memberId, instanceId, topics, pattern, rebalanceTimeoutMs: REBALANCE_MS }
    this.clients.push(new ModelClient(this.shard, this.#prng, this.#faults, is))
  }
}

/** Checked too often for `expect`. */
function must(holds: boolean, ...claim: (string | number)[]): void {
  if (!holds) throw new Error(claim.join(' '))
}

function mustBeDisjoint(assignments: Iterable<Assignment>, claim: string): void {
  const seen = new Map<string, Set<number>>()
  for (const assignment of assignments) {
    for (const [topicId, partitions] of assignment) {
      let known = seen.get(topicId)
      if (known === undefined) seen.set(topicId, (known = new Set<number>()))
      for (const partition of partitions) {
        must(!known.has(partition), claim, topicId, partition)
        known.add(partition)
      }
    }
  }
}

describe('a group of the consumer protocol', () => {
  it.each(Array.from({ length: RUNS }, (_, run) => run))(
    'G1, G2, G3, G8: keeps its promises after each event, and settles (run %i)',
    async (run) => {
      const group = new Run(`${seed}/${run}`)
      const prng = new Prng(`${seed}/${run}`, 'steps')
      const { sim } = group.shard
      for (let step = 0; step < STEPS; step++) {
        group.step()
        await sim.run(sim.nowMs + prng.between(0, STEP_MS_MAX))
      }

      group.changeTopicsUnseen()
      group.shard.crash(group.shard.committedBatches)
      group.heal()
      await sim.run(sim.nowMs + SETTLE_MS)

      group.checkSettled()
      const batchCount = group.shard.batches.length
      await sim.run(sim.nowMs + 10_000)
      expect(group.shard.batches.length, 'a settled group writes nothing').toBe(batchCount)
    },
  )
})
