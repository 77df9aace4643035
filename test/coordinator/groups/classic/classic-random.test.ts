/**
 * Clients that join, sync, sleep, die, leave and come back at random, dynamic and static, with answers that are lost and requests
 * that come late, over a log that is slow, refuses and fails over. After every answer: G1, G3, generations that never go back;
 * at the end: every request was answered, and the group settles with every partition owned once.
 */
import { expect, test } from 'vitest'
import { Prng } from '../../../../src/env/sim/prng.ts'
import { errorByCode } from '../../../../src/protocol/errors.ts'
import type { JoinGroupResponse } from '../../../../src/protocol/messages/join-group.ts'
import { seedFromEnv } from '../../../support/seed.ts'
import { ClassicBench, subscription } from '../../support/classic-bench.ts'
import type { Asked } from '../../support/classic-bench.ts'

const RUNS = 40
const CLIENTS = 7
const PARTITIONS = 12
const CHAOS_MS = 90_000
const SESSION_MS = 7_000
const REBALANCE_MS = 9_000
/** Longer than everything a client may wait for: sessions, rounds and pending ids. */
const SETTLE_MS = 60_000

/** What is known of a generation from all answers of all coordinators. */
class Observer {
  readonly bench: ClassicBench
  readonly pending = new Set<object>()
  /** What was wrong with answers. */
  readonly faults: unknown[] = []
  lastFailOverMs = 0
  /** Highest generation in any join answer. */
  told = 0
  /** Which leader's computation the assignments of a generation come from. */
  readonly #origins = new Map<number, string>()
  readonly #owners = new Map<string, string>()
  /** The id an instance was told last. */
  readonly idByInstance = new Map<string, string>()
  accepted = 0
  refused = 0

  constructor(bench: ClassicBench) {
    this.bench = bench
  }

  /** Waits for an answer however long it takes, and looks at it whoever wanted it. */
  async watch<Response>(asked: Asked<Response>, look: (answer: Response) => void): Promise<Response> {
    this.pending.add(asked)
    const answer = await asked.promise
    this.pending.delete(asked)
    try {
      look(answer)
    } catch (error) {
      this.faults.push(error)
    }
    return answer
  }

  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => this.bench.simulation.schedule(ms, 'client', resolve))
  }

  joined(instanceId: string | null, answer: JoinGroupResponse, askedIn: unknown): void {
    // An answer that was given before the fail-over may be looked at after it.
    if (answer.errorCode !== 0 || askedIn !== this.bench.group) return
    expect(answer.generationId, 'a generation goes back').toBeGreaterThanOrEqual(this.told)
    this.told = answer.generationId
    if (instanceId !== null) this.idByInstance.set(instanceId, answer.memberId)
  }

  /** G1: all of a generation comes from one computation for this generation, and nobody shares a partition. */
  assigned(key: string, generation: number, assignment: string): void {
    if (assignment === '') return
    const [origin, partitions] = assignment.split('|') as [string, string]
    expect(origin.split('/')[0], 'an assignment of another generation').toBe(String(generation))
    expect(this.#origins.get(generation) ?? origin, 'G1: two assignments in one generation').toBe(origin)
    this.#origins.set(generation, origin)
    for (const partition of partitions.split(',').filter((name) => name !== '')) {
      const place = `${generation}:${partition}`
      expect(this.#owners.get(place) ?? key, `G1: two owners of ${place}`).toBe(key)
      this.#owners.set(place, key)
    }
  }
}

/** What a process knows, and what is known of it. */
interface Identity {
  memberId: string
  generation: number
  /** When the coordinator last heard of it, virtual ms. */
  heardMs: number
  /** Requests of it that wait. */
  waits: number
}

class Client {
  readonly #observer: Observer
  readonly #bench: ClassicBench
  readonly #random: Prng
  readonly #instanceId: string | null
  readonly #apiVersion: number
  /** Counts processes: what an earlier one was about is over. */
  #life = 0
  #self: Identity = { memberId: '', generation: -1, heardMs: 0, waits: 0 }
  /** Of processes before this one, which may wake up. */
  #past: Identity[] = []
  owned: string[] | null = null
  isAlive = false
  isCalm = false
  #asleepUntilMs = 0

  constructor(observer: Observer, random: Prng, name: string) {
    this.#observer = observer
    this.#bench = observer.bench
    this.#random = random
    this.#instanceId = random.chance(0.4) ? `s${name}` : null
    this.#apiVersion = this.#instanceId === null ? random.below(10) : random.between(5, 9)
  }

  /** A new process, which knows its instance id at most. */
  start(): void {
    this.die()
    this.isAlive = true
    this.#past = [...this.#past.slice(-2), this.#self]
    this.#self = { memberId: '', generation: -1, heardMs: 0, waits: 0 }
    this.#asleepUntilMs = 0
    void this.#run(this.#life)
  }

  die(): void {
    this.isAlive = false
    this.owned = null
    this.#life++
  }

  async leave(): Promise<void> {
    const { memberId } = this.#self
    this.die()
    const members = [{ memberId, groupInstanceId: this.#instanceId, reason: null }]
    await this.#bench.group.leave({ groupId: 'g', memberId, members }, 5)
  }

  pause(ms: number): void {
    this.#asleepUntilMs = this.#bench.nowMs + ms
  }

  /** G3 and CG-4: whatever its processes last knew, a commit is accepted only if nobody can mind. */
  tryCommit(): void {
    for (const { memberId, generation, heardMs, waits } of [...this.#past, this.#self]) {
      if (generation < 0) continue
      if (this.#bench.commitFault(memberId, generation, this.#instanceId) !== null) {
        this.#observer.refused++
        continue
      }
      this.#observer.accepted++
      expect(generation, 'G3: a stale generation commits').toBe(this.#observer.told)
      if (this.#instanceId !== null) {
        expect(memberId, 'G3: an old twin commits').toBe(this.#observer.idByInstance.get(this.#instanceId))
      }
      const silentMs = this.#bench.nowMs - Math.max(heardMs, this.#observer.lastFailOverMs)
      if (waits === 0)
        expect(silentMs, 'CG-4: a session that has ended commits').toBeLessThan(SESSION_MS + 50)
    }
  }

  async #run(life: number): Promise<void> {
    while (life === this.#life) {
      await this.#nap()
      if (life !== this.#life) return
      if (this.owned === null) await this.#joinAndSync(life)
      else await this.#beat(life)
      await this.#observer.sleep(this.owned === null ? 20 + this.#random.below(300) : 1_500)
    }
  }

  async #nap(): Promise<void> {
    while (this.#asleepUntilMs > this.#bench.nowMs) {
      await this.#observer.sleep(this.#asleepUntilMs - this.#bench.nowMs)
    }
  }

  async #joinAndSync(life: number): Promise<void> {
    const { group } = this.#bench
    const answer = await this.#ask(
      life,
      this.#bench.join({
        memberId: this.#self.memberId,
        instanceId: this.#instanceId,
        apiVersion: this.#apiVersion,
        sessionMs: SESSION_MS,
        rebalanceMs: REBALANCE_MS,
        protocols: { range: subscription(this.#random.chance(0.1) && !this.isCalm ? 't,u' : 't') },
      }),
      (response) => this.#observer.joined(this.#instanceId, response, group),
    )
    if (answer === null) return
    const error = errorByCode(answer.errorCode).name
    if (error === 'MEMBER_ID_REQUIRED') this.#self.memberId = answer.memberId
    if (error === 'UNKNOWN_MEMBER_ID') this.#self.memberId = ''
    if (error === 'FENCED_INSTANCE_ID') this.die()
    if (error !== 'NONE') return
    this.#self.memberId = answer.memberId
    this.#self.generation = answer.generationId
    const assigns = answer.leader === answer.memberId && !answer.skipAssignment
    await this.#sync(life, assigns ? this.#compute(answer) : {})
  }

  #compute({ generationId, memberId, members }: JoinGroupResponse): Record<string, string> {
    const origin = `${generationId}/${memberId}/${this.#random.uint32()}`
    const shares = members.map(() => [] as number[])
    for (let partition = 0; partition < PARTITIONS; partition++)
      shares[partition % shares.length]!.push(partition)
    return Object.fromEntries(
      members.map((member, index) => [member.memberId, `${origin}|${shares[index]!.join(',')}`]),
    )
  }

  async #sync(life: number, assignments: Record<string, string>): Promise<void> {
    const { memberId, generation } = this.#self
    const key = this.#instanceId ?? memberId
    const send = () => this.#bench.sync(memberId, generation, assignments, { instanceId: this.#instanceId })
    const look = (response: { errorCode: number; assignment: Uint8Array }) => {
      if (response.errorCode === 0) {
        this.#observer.assigned(key, generation, new TextDecoder().decode(response.assignment))
      }
    }
    await this.#observer.sleep(this.#random.below(40))
    if (!this.isCalm && this.#random.chance(0.15)) {
      // A copy of it that was stuck somewhere, and comes when much has changed.
      const delayMs = this.#random.below(15_000)
      const self = this.#self
      void this.#observer.sleep(delayMs).then(() => this.#watch(self, send(), look))
    }
    if (!this.isCalm && this.#random.chance(0.1)) await this.#observer.sleep(this.#random.below(14_000))
    if (life !== this.#life) return
    const answer = await this.#ask(life, send(), look)
    if (answer === null || answer.errorCode !== 0) {
      if (answer !== null) this.#learn(errorByCode(answer.errorCode).name)
      return
    }
    const text = new TextDecoder().decode(answer.assignment).split('|')[1] ?? ''
    this.owned = text.split(',').filter((name) => name !== '')
  }

  async #beat(life: number): Promise<void> {
    this.#self.heardMs = this.#bench.nowMs
    const { memberId, generation } = this.#self
    const answer = await this.#bench.group.heartbeat({
      ...{ groupId: 'g', generationId: generation, memberId },
      groupInstanceId: this.#instanceId,
    })
    if (life === this.#life) this.#learn(errorByCode(answer.errorCode).name)
  }

  #learn(error: string): void {
    if (error === 'NONE' || error === 'NOT_COORDINATOR') return
    this.owned = null
    if (error === 'UNKNOWN_MEMBER_ID') this.#self.memberId = ''
    if (error === 'FENCED_INSTANCE_ID') this.die()
  }

  /** The answer, or null if it is lost, or the process is another one by then. */
  async #ask<Response>(
    life: number,
    asked: Asked<Response>,
    look: (answer: Response) => void,
  ): Promise<Response | null> {
    const isLost = !this.isCalm && this.#random.chance(0.08)
    const watched = this.#watch(this.#self, asked, look)
    if (isLost) await this.#observer.sleep(this.#random.below(3_000))
    const answer = isLost ? null : await watched
    return life === this.#life ? answer : null
  }

  async #watch<Response>(
    self: Identity,
    asked: Asked<Response>,
    look: (answer: Response) => void,
  ): Promise<Response> {
    self.waits++
    const answer = await this.#observer.watch(asked, look)
    self.waits--
    self.heardMs = this.#bench.nowMs
    return answer
  }
}

async function run(seed: string): Promise<Observer> {
  const random = new Prng(seed, 'classic')
  const bench = new ClassicBench({ seed, config: { initialRebalanceDelayMs: random.below(2) * 1_500 } })
  const observer = new Observer(bench)
  const clients = Array.from({ length: CLIENTS }, (_, index) => new Client(observer, random, String(index)))
  while (bench.nowMs < CHAOS_MS) {
    await bench.run(random.below(1_500))
    const client = random.pick(clients as [Client, ...Client[]])
    const draw = random.below(100)
    if (!client.isAlive) client.start()
    else if (draw < 10) client.die()
    else if (draw < 15) void client.leave()
    else if (draw < 25) client.pause(random.below(2 * SESSION_MS))
    else if (draw < 32)
      client.start() // A twin, or a restart that nobody noticed.
    else if (draw < 40) bench.commitMs = 0.5 + random.below(60)
    else if (draw < 44) {
      observer.lastFailOverMs = bench.nowMs
      bench.failOver(random.below(3))
    } else if (draw < 48) {
      bench.refusal = 'COORDINATOR_NOT_AVAILABLE'
      await bench.run(random.below(300))
      bench.refusal = null
    }
    for (const each of clients) each.tryCommit()
    expect(observer.faults).toEqual([])
  }

  bench.commitMs = 1
  for (const client of clients) {
    client.isCalm = true
    client.pause(0)
    if (!client.isAlive) client.start()
  }
  await bench.run(SETTLE_MS)
  // A twin that was fenced, or lost its place to a late request, is started once more.
  for (const client of clients) if (!client.isAlive) client.start()
  await bench.run(SETTLE_MS)

  expect(observer.faults).toEqual([])
  expect(bench.group.stateName, 'the group settles').toBe('Stable')
  expect(observer.pending.size, 'requests without an answer').toBe(0)
  const owned = clients.flatMap((client) => client.owned ?? ['none'])
  expect(owned.map(Number).sort((a, b) => a - b)).toEqual(
    Array.from({ length: PARTITIONS }, (_, index) => index),
  )
  expect(bench.group.describe().members).toHaveLength(CLIENTS)
  return observer
}

test('G1, G3, CG-3, CG-4, CG-6: random clients under faults', async () => {
  const seed = seedFromEnv('classic-random')
  let [accepted, refused, told] = [0, 0, 0]

  for (let index = 0; index < RUNS; index++) {
    const observer = await run(`${seed}-${index}`).catch((error: unknown) => {
      throw new Error(`Run ${index} of SEED=${seed} failed`, { cause: error })
    })
    accepted += observer.accepted
    refused += observer.refused
    told += observer.told
  }

  console.log(`classic-random: ${accepted} commits accepted, ${refused} refused, ${told} generations`)
  expect(Math.min(accepted, refused, told)).toBeGreaterThan(RUNS * 5)
}, 60_000)
