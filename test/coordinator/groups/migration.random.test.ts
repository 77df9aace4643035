/**
 * Members of both protocols in one group, which goes to and fro between the two as they come and go, with lost answers, members
 * that die, stand still and come back, and coordinators that crash and are followed by one that reads what was left of the log.
 * After each event: G1 (docs/faults.md), nobody uses what another one does who has not been told to let go; at the end: G2, G8.
 */
import { describe, expect, it } from 'vitest'
import {
  readSubscription,
  writeAssignment,
} from '../../../src/coordinator/groups/classic/consumer-protocol.ts'
import { ClassicGroup } from '../../../src/coordinator/groups/classic/classic-group.ts'
import { ConsumerGroup } from '../../../src/coordinator/groups/consumer/consumer-group.ts'
import { Prng } from '../../../src/env/sim/prng.ts'
import { seedFromEnv } from '../../support/seed.ts'
import { assignmentOf, subscriptionWith } from '../support/classic-words.ts'
import { TestShard, client, joinRequest, nameOf } from '../support/test-shard.ts'

const seed = seedFromEnv('migration')
const RUNS = 12
const STEPS = 60
const STEP_MS_MAX = 2_500
const MEMBERS_MAX = 5
const GROUP = 'g'
const PARTITIONS = 7
const TOPIC = 'orders'
const SESSION_MS = 10_000
const REBALANCE_MS = 6_000
/** Sessions of the dead, rounds of the classic protocol, and some heartbeats. */
const SETTLE_MS = 60_000

interface Faults {
  /** Probability that an answer, or a request, is lost. */
  loss: number
  /** Longest time that giving up partitions takes, in ms. */
  revokeMsMax: number
}

/** A process that is one member, one request at a time. */
abstract class Member {
  readonly owned = new Set<number>()
  #isDead = false
  pausedUntilMs = 0
  abstract memberId: string
  protected readonly world: TestShard
  protected readonly random: Prng
  protected readonly faults: Faults

  constructor(world: TestShard, random: Prng, faults: Faults) {
    this.world = world
    this.random = random
    this.faults = faults
  }

  async run(): Promise<void> {
    while (!this.isDead) {
      while (this.pausedUntilMs > this.world.sim.nowMs) await this.sleep(100)
      if (!this.hasDied()) await this.turn()
    }
  }

  get isDead(): boolean {
    return this.#isDead
  }

  /** As `isDead`, asked anew after a wait. */
  hasDied(): boolean {
    return this.#isDead
  }

  die(): void {
    this.#isDead = true
    this.owned.clear()
  }

  abstract turn(): Promise<void>
  abstract leave(): Promise<void>

  protected sleep(ms: number): Promise<void> {
    return new Promise((resolve) => this.world.sim.schedule(ms, 'member', resolve))
  }

  /** The answer, or null when it or the request is lost, or the member is gone by then. */
  protected async ask<T>(send: () => Promise<T>): Promise<T | null> {
    await this.sleep(this.random.below(20))
    if (this.isDead || this.random.chance(this.faults.loss)) return null
    const answer = await send()
    await this.sleep(this.random.below(20))
    return this.hasDied() || this.random.chance(this.faults.loss) ? null : answer
  }

  protected async revoke(partitions: Iterable<number>): Promise<void> {
    await this.sleep(this.random.below(this.faults.revokeMsMax))
    for (const partition of [...partitions]) this.owned.delete(partition)
  }

  /** It was told that it is no member any more. */
  protected lose(): void {
    this.owned.clear()
  }
}

class ClassicMember extends Member {
  readonly #isCooperative: boolean
  readonly #protocol = 'both'
  memberId = ''
  generation = -1
  #mustJoin = true

  constructor(world: TestShard, random: Prng, faults: Faults) {
    super(world, random, faults)
    this.#isCooperative = random.chance(0.5)
  }

  async turn(): Promise<void> {
    if (this.#mustJoin) await this.#join()
    else await this.#beat()
  }

  async leave(): Promise<void> {
    const { memberId } = this
    this.die()
    if (memberId === '') return
    const members = [{ memberId, groupInstanceId: null, reason: null }]
    await this.world.shard.leaveGroup({ groupId: GROUP, memberId: '', members }, client(5))
  }

  async #beat(): Promise<void> {
    await this.sleep(500)
    const { memberId, generation } = this
    const answer = await this.ask(() =>
      this.world.shard.heartbeat({
        groupId: GROUP,
        memberId,
        generationId: generation,
        groupInstanceId: null,
      }),
    )
    if (answer !== null) this.#learn(nameOf(answer))
  }

  #learn(error: string): void {
    if (error === 'NONE' || error === 'NOT_COORDINATOR' || error === 'COORDINATOR_NOT_AVAILABLE') return
    this.#mustJoin = true
    if (error === 'REBALANCE_IN_PROGRESS') return
    this.lose()
    if (error === 'UNKNOWN_MEMBER_ID') this.memberId = ''
  }

  async #join(): Promise<void> {
    // An eager member gives up all it has before it joins, a cooperative one says what it has.
    if (!this.#isCooperative && this.owned.size > 0) await this.revoke(this.owned)
    if (this.isDead) return
    const owned = this.owned.size === 0 ? {} : { [TOPIC]: [...this.owned] }
    const protocols = [{ name: this.#protocol, metadata: subscriptionWith([TOPIC], owned) }]
    const timeouts = { sessionTimeoutMs: SESSION_MS, rebalanceTimeoutMs: REBALANCE_MS }
    const request = { ...joinRequest(GROUP), ...timeouts, protocols, memberId: this.memberId }
    const answer = await this.ask(() => this.world.shard.joinGroup(request, client(9)))
    if (answer === null) return this.sleep(50)
    const error = nameOf(answer)
    if (error === 'MEMBER_ID_REQUIRED') this.memberId = answer.memberId
    if (error !== 'NONE') {
      this.#learn(error)
      return error === 'MEMBER_ID_REQUIRED' ? undefined : this.sleep(100)
    }
    this.memberId = answer.memberId
    this.generation = answer.generationId
    const isLeader = answer.leader === answer.memberId
    const said = isLeader ? this.#assign(answer.members) : []
    const sync = {
      groupId: GROUP,
      memberId: this.memberId,
      generationId: this.generation,
      groupInstanceId: null,
    }
    const synced = await this.ask(() =>
      this.world.shard.syncGroup(
        { ...sync, assignments: said, protocolName: null, protocolType: null },
        client(5),
      ),
    )
    if (synced === null) return this.sleep(50)
    if (nameOf(synced) !== 'NONE') {
      this.#learn(nameOf(synced))
      return this.sleep(50)
    }
    const assigned = new Set(assignmentOf(synced.assignment)[TOPIC] ?? [])
    const lost = [...this.owned].filter((partition) => !assigned.has(partition))
    if (lost.length > 0) await this.revoke(lost)
    if (this.hasDied()) return
    for (const partition of assigned) this.owned.add(partition)
    // Who gave something up says so at once, as cooperative members do.
    this.#mustJoin = lost.length > 0
  }

  /** As a cooperative leader: what is owned by another one is given away only when that one does not name it any more. */
  #assign(members: readonly { memberId: string; metadata: Uint8Array }[]) {
    const owners = new Map<number, string>()
    for (const { memberId, metadata } of members) {
      for (const partition of ownedIn(metadata)) owners.set(partition, memberId)
    }
    const shares = new Map(members.map(({ memberId }) => [memberId, [] as number[]]))
    const ids = [...shares.keys()]
    for (let partition = 0; partition < PARTITIONS; partition++) {
      const wanted = ids[partition % ids.length]!
      const owner = owners.get(partition) ?? wanted
      if (owner === wanted) shares.get(wanted)!.push(partition)
    }
    return Array.from(shares, ([memberId, partitions]) => ({
      memberId,
      assignment: writeAssignment([{ topic: TOPIC, partitions }]),
    }))
  }
}

class ConsumerMember extends Member {
  memberId: string
  #epoch = 0
  #wanted = new Set<number>()
  #saysAll = true

  constructor(world: TestShard, random: Prng, faults: Faults, memberId: string) {
    super(world, random, faults)
    this.memberId = memberId
  }

  async leave(): Promise<void> {
    this.die()
    if (this.#epoch > 0) await this.world.shard.consumerGroupHeartbeat(this.#request(-1, false), client(1))
  }

  async turn(): Promise<void> {
    const saysAll = this.#saysAll || this.#epoch === 0
    const request = this.#request(this.#epoch, saysAll)
    this.#saysAll = true
    const answer = await this.ask(() => this.world.shard.consumerGroupHeartbeat(request, client(1)))
    if (answer === null) return this.sleep(100)
    const error = nameOf(answer)
    if (error !== 'NONE') {
      if (
        error === 'UNKNOWN_MEMBER_ID' ||
        error === 'FENCED_MEMBER_EPOCH' ||
        error === 'GROUP_ID_NOT_FOUND'
      ) {
        this.lose()
        this.#wanted.clear()
        this.#epoch = 0
      }
      return this.sleep(200)
    }
    this.#saysAll = false
    this.#epoch = answer.memberEpoch
    const told = answer.assignment
    if (told !== null && told !== undefined) {
      this.#wanted = new Set(told.topicPartitions.flatMap(({ partitions }) => [...partitions]))
    }
    const lost = [...this.owned].filter((partition) => !this.#wanted.has(partition))
    if (lost.length > 0) await this.revoke(lost)
    else for (const partition of this.#wanted) this.owned.add(partition)
    if (lost.length === 0) await this.sleep(Math.min(500, answer.heartbeatIntervalMs))
  }

  #request(memberEpoch: number, saysAll: boolean) {
    const topicId = this.world.image.topicsByName.get(TOPIC)!.id
    return {
      ...{ groupId: GROUP, memberId: this.memberId, memberEpoch, instanceId: null, rackId: null },
      ...{ serverAssignor: null, subscribedTopicRegex: null },
      rebalanceTimeoutMs: saysAll ? REBALANCE_MS : -1,
      subscribedTopicNames: saysAll ? [TOPIC] : null,
      topicPartitions: this.owned.size === 0 ? [] : [{ topicId, partitions: [...this.owned] }],
    }
  }
}

function ownedIn(metadata: Uint8Array): readonly number[] {
  const subscription = readSubscription(metadata)
  return subscription!.owned.flatMap(({ partitions }) => partitions)
}

class Run {
  readonly world: TestShard
  readonly members: Member[] = []
  readonly kinds: string[] = []
  readonly #random: Prng
  readonly #faults: Faults
  #count = 0

  constructor(runSeed: string) {
    this.#random = new Prng(runSeed, 'migration')
    this.#faults = { loss: this.#random.pick([0, 0.05, 0.2]), revokeMsMax: 3_000 }
    const timeouts = { consumerSessionTimeoutMs: SESSION_MS, consumerHeartbeatIntervalMs: 1_000 }
    this.world = new TestShard({ [TOPIC]: PARTITIONS }, timeouts)
    this.world.sim.checks.push(() => this.check())
  }

  get live(): Member[] {
    return this.members.filter(({ isDead }) => !isDead)
  }

  step(): void {
    const random = this.#random
    const { live } = this
    const member = live.length === 0 ? null : live[random.below(live.length)]!
    switch (random.below(8)) {
      case 0:
      case 1:
      case 2:
        if (live.length < MEMBERS_MAX) this.start(random.chance(0.5))
        return
      case 3:
        member?.die()
        return
      case 4:
      case 5:
        void member?.leave()
        return
      case 6:
        if (member !== null) member.pausedUntilMs = this.world.sim.nowMs + random.below(2 * SESSION_MS)
        return
      case 7:
        this.world.failOver({ losesUncommitted: random.chance(0.5) })
        if (random.chance(0.3)) {
          this.world.compact()
          this.world.failOver()
        }
    }
  }

  start(isClassic: boolean): void {
    const { world } = this
    const id = `m${this.#count++}`
    const member = isClassic
      ? new ClassicMember(world, this.#random, this.#faults)
      : new ConsumerMember(world, this.#random, this.#faults, id)
    this.members.push(member)
    void member.run()
  }

  heal(): void {
    this.#faults.loss = 0
    this.#faults.revokeMsMax = 100
    for (const member of this.live) member.pausedUntilMs = 0
    if (this.live.length === 0) this.start(true)
  }

  /** Who was removed from the group, since it was out of time, is fenced and will find out. */
  check(): void {
    const present = this.#memberIds()
    const owners = new Set<number>()
    for (const { memberId, owned } of this.live) {
      if (!present.has(memberId)) continue
      for (const partition of owned) {
        if (owners.has(partition)) throw new Error(`G1: two use ${partition} at ${this.world.sim.nowMs} ms`)
        owners.add(partition)
      }
    }
    const kind = this.kindOfGroup()
    if (kind !== this.kinds.at(-1)) this.kinds.push(kind)
  }

  #memberIds(): Set<string> {
    const ids = new Set<string>()
    for (const group of this.world.shard.groups()) {
      if (group instanceof ConsumerGroup) for (const id of group.state.members.keys()) ids.add(id)
      if (group instanceof ClassicGroup) for (const { id } of group.present.members) ids.add(id)
    }
    return ids
  }

  kindOfGroup(): string {
    for (const { kind, isEmpty } of this.world.shard.groups()) if (!isEmpty) return kind
    return 'none'
  }

  checkSettled(): void {
    const owned = this.live.flatMap((member) => [...member.owned]).sort((a, b) => a - b)
    expect(owned, 'G2').toEqual(Array.from({ length: PARTITIONS }, (_, index) => index))
    const isClassic = this.live.every((member) => member instanceof ClassicMember)
    expect(this.kindOfGroup()).toBe(isClassic ? 'classic' : 'consumer')
    for (const { stateName, isEmpty } of this.world.shard.groups())
      if (!isEmpty) expect(stateName, 'G8').toBe('Stable')
  }
}

let ups = 0
let downs = 0

describe('a group that goes between the protocols', () => {
  it.each(Array.from({ length: RUNS }, (_, run) => run))(
    'G1, G2, G8: in all that happens (run %i)',
    async (run) => {
      const group = new Run(`${seed}/${run}`)
      const random = new Prng(`${seed}/${run}`, 'steps')
      const { sim } = group.world
      for (let step = 0; step < STEPS; step++) {
        group.step()
        await sim.run(sim.nowMs + random.between(0, STEP_MS_MAX))
      }
      group.heal()
      await sim.run(sim.nowMs + SETTLE_MS)

      group.checkSettled()
      for (const member of group.live) member.die()
      for (const [index, kind] of group.kinds.entries()) {
        const before = group.kinds[index - 1]
        if (kind === 'consumer' && before === 'classic') ups++
        if (kind === 'classic' && before === 'consumer') downs++
      }
    },
  )

  it('has gone both ways with members online', () => {
    expect(Math.min(ups, downs)).toBeGreaterThan(RUNS)
  })
})
