/**
 * A group at work on a cluster: members that come, go, die and stand still, and the verdict on what became of the records
 * (docs/faults.md section 3, Groups; what is judged as it happens: group-history.ts).
 */
import type { Prng } from '../../../src/env/sim/prng.ts'
import { checkKept, STILL_MS } from '../oracle/rest.ts'
import type { Ledger, Place } from './cluster-clients.ts'
import { logName } from './cluster-clients.ts'
import { GroupHistory } from './group-history.ts'
import { GROUP, GROUP_SESSION_MS, GroupMember, isSettled } from './group-members.ts'
import type { MemberOptions } from './group-members.ts'
import type { Host, SimCluster } from './sim-cluster.ts'

/** A group is at rest again within this after the last fault (G8): the dead are found out, and partitions change hands. */
export const SETTLING_MS = 2 * GROUP_SESSION_MS
/** Leaving takes no longer, whatever the cluster does: a request's time-out for commits, then for saying good-bye. */
const CLOSING_MS = 10_000
/** Between two things that happen to members, in virtual ms. */
const UNREST_MS = [200, 2500] as const
const MEMBERS_MAX = 4

const KINDS: readonly MemberOptions[] = [
  {},
  { mode: 'run', handlingMs: [0, 20] },
  { commit: 'manual' },
  { handlingMs: [0, 1] },
  { mode: 'run', handlingMs: [20, 200], handlerTimeoutMs: 1000 },
]

export class GroupLoad {
  readonly history: GroupHistory
  /** All that ever were. */
  readonly members: GroupMember[] = []
  readonly #cluster: SimCluster
  readonly #ledger: Ledger
  readonly #places: readonly Place[]
  readonly #random: Prng
  #isStopped = true
  #joined = 0

  constructor(cluster: SimCluster, ledger: Ledger, places: readonly Place[]) {
    this.#cluster = cluster
    this.#ledger = ledger
    this.#places = places
    this.#random = cluster.simulation.stream('group load')
    this.history = new GroupHistory(cluster)
  }

  /** Members that are at work. */
  get present(): readonly GroupMember[] {
    return this.members.filter(({ isAlive, isClosed }) => isAlive && !isClosed)
  }

  join(name: string, options: MemberOptions = {}): GroupMember {
    const topics = [...new Set(this.#places.map(({ topic }) => topic))]
    const member = new GroupMember(this.#cluster, this.history, name, { topics, ...options })
    this.members.push(member)
    return member
  }

  /** From now on members come and go by lot. */
  start(): void {
    this.#isStopped = false
    this.#joinAny()
    this.#later()
  }

  stop(): void {
    this.#isStopped = true
  }

  /** A member leaves in good order; that it takes too long is a fault. */
  leave(member: GroupMember): Promise<void> {
    const sinceMs = this.#cluster.simulation.nowMs
    let hasLeft = false
    this.#cluster.simulation.schedule(CLOSING_MS, `${member.name} has left`, () => {
      if (!hasLeft && member.isAlive && !member.wasPaused)
        this.history.faults.push(`S2: ${member.name} began to leave at ${sinceMs} ms, and has not left`)
    })
    return member.close().then(() => {
      hasLeft = true
    })
  }

  /** G2, G8: every partition is owned by one member, within a bound. */
  async settled(limitMs = SETTLING_MS): Promise<void> {
    await this.#cluster.run(() => isSettled(this.members, this.#places), limitMs)
    this.history.check()
  }

  /** Lets the group handle so many more records. */
  async handled(count: number, limitMs?: number): Promise<void> {
    const before = this.history.counts.get('handled') ?? 0
    await this.#cluster.run(() => (this.history.counts.get('handled') ?? 0) >= before + count, limitMs)
    this.history.check()
  }

  /**
   * The end; the cluster must be whole, and nothing be written any more. Every acknowledged record is handled, all leave, and
   * what was handled is what is committed (G4).
   */
  async finish(limitMs = SETTLING_MS): Promise<void> {
    this.stop()
    const cluster = this.#cluster
    for (const member of this.members) {
      if (member.isAlive) member.node.resume()
      member.slowness = 0 // what has piled up is a matter of time
    }
    if (this.present.length === 0) this.join('last')
    await this.settled(limitMs)
    const isHandled = (place: Place): boolean =>
      this.history.doneEnd(place) >= (this.#ledger.ackedEnds.get(logName(place)) ?? 0)
    await cluster.run(() => this.#places.every(isHandled))
    await this.#keeps()
    for (const member of this.present) await cluster.run(this.leave(member))
    this.history.check()
    const committed = await this.committed()
    for (const [index, place] of this.#places.entries()) {
      const doneEnd = this.history.doneEnd(place)
      if (committed[index] !== doneEnd)
        throw new Error(
          `G4: ${logName(place)} is handled to ${doneEnd}, and ${committed[index]} is committed`,
        )
    }
  }

  async coordinator(group = GROUP): Promise<Host> {
    for (;;) {
      const host = this.#cluster.hosts.find(({ broker, node }) => broker !== null && !node.isPaused)!
      const answer = await this.#cluster.call(host, 'FindCoordinator', 3, { key: group, keyType: 0 })
      if (answer.errorCode === 0) return this.#cluster.host(answer.nodeId)
      await this.#cluster.pass(20)
    }
  }

  /** What the coordinator tells to be committed, for each place; 0 for nothing. */
  async committed(): Promise<number[]> {
    for (;;) {
      const host = await this.coordinator()
      const query = { groups: [{ groupId: GROUP, topics: null }] }
      const { groups } = await this.#cluster.call(host, 'OffsetFetch', 8, query)
      const told = new Map<string, number>()
      for (const { name: topic, partitions } of groups[0]!.topics)
        for (const { partitionIndex: partition, committedOffset } of partitions)
          told.set(logName({ topic, partition }), committedOffset)
      if (groups[0]!.errorCode === 0) return this.#places.map((place) => told.get(logName(place)) ?? 0)
      await this.#cluster.pass(20)
    }
  }

  /** S6: nobody comes or goes, so nobody gets or gives anything. */
  async #keeps(): Promise<void> {
    const now = (): string[] =>
      this.present.map(({ name, consumer }) => `${name}: ${consumer.assignment.map(logName).sort().join()}`)
    // Whoever came last gets its share first.
    await this.#cluster.pass(STILL_MS)
    const before = now()
    await this.#cluster.pass(STILL_MS)
    checkKept(before, now())
  }

  #joinAny(): void {
    this.join(`m${this.#joined++}`, KINDS[this.#random.below(KINDS.length)])
  }

  #later(): void {
    this.#cluster.simulation.schedule(this.#random.between(...UNREST_MS), 'group load', () => {
      if (this.#isStopped) return
      this.#act()
      this.#later()
    })
  }

  #act(): void {
    const { present } = this
    const random = this.#random
    if (present.length === 0 || (present.length < MEMBERS_MAX && random.chance(0.4))) {
      this.#joinAny()
      return
    }
    const member = present[random.below(present.length)]!
    switch (random.below(5)) {
      case 0:
        member.crash()
        break
      case 1:
        if (!member.node.isPaused) void this.leave(member)
        break
      case 2:
        member.pause(random.between(100, 2 * GROUP_SESSION_MS))
        break
      case 3:
        member.slowness = random.chance(0.5) ? 1 : 30
        break
      default:
        this.#cluster.simulation.network.reset(
          member.name,
          this.#cluster.hosts[random.below(this.#cluster.hosts.length)]!.name,
        )
    }
  }
}
