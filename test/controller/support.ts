/** What the tests of the controller share: a quorum in memory, seeded randomness, requests in short. */
import type { Clock, Random } from '../../src/env/index.ts'
import { silentLogger } from '../../src/env/index.ts'
import { Controller } from '../../src/controller/controller.ts'
import type { ControllerSettings } from '../../src/controller/concern.ts'
import { clusterConfigShape } from '../../src/metadata/broker-config.ts'
import type { ClusterImage } from '../../src/metadata/cluster-image.ts'
import { resolveConfigs } from '../../src/metadata/config-resolution.ts'
import type { RequestOf } from '../../src/protocol/apis.ts'
import { errorByCode } from '../../src/protocol/errors.ts'
import { QuorumError } from '../../src/raft/metadata-quorum.ts'
import type { HeardLeader, MetadataQuorum, QuorumListener } from '../../src/raft/metadata-quorum.ts'

/** A quorum whose commits the test lets through, one by one or all at once. */
export class FakeQuorum implements MetadataQuorum {
  readonly nodeId = 1
  leaderId: number | null = 1
  leaderEpoch = 1
  lastLeader: HeardLeader | null = null
  highWatermark = 0
  logEndOffset = 0
  /** Commits in the turn of the append. */
  commitsAtOnce = true
  #listener: QuorumListener | null = null
  #waiting: {
    baseOffset: number
    records: readonly Uint8Array[]
    resolve: (last: number) => void
    reject: (error: unknown) => void
  }[] = []

  async append(leaderEpoch: number, records: readonly Uint8Array[]): Promise<number> {
    const size = records.reduce((sum, record) => sum + record.length, 0)
    if (size > this.batchBytesMax) throw new QuorumError('QUORUM_BATCH_TOO_LARGE', 'Too large')
    const baseOffset = this.logEndOffset
    this.logEndOffset += records.length
    const promise = new Promise<number>((resolve, reject) =>
      this.#waiting.push({ baseOffset, records, resolve, reject }),
    )
    if (this.commitsAtOnce) this.commit()
    return promise
  }

  batchBytesMax = 1 << 24

  async subscribe(listener: QuorumListener): Promise<void> {
    this.#listener = listener
  }

  async close(): Promise<void> {
    this.leaderId = null
  }

  /** Commits what was appended so far. */
  commit(): void {
    for (const { baseOffset, records, resolve } of this.#waiting.splice(0)) {
      const endOffset = baseOffset + records.length
      this.highWatermark = endOffset
      this.#listener?.onCommit({ baseOffset, endOffset, epoch: this.leaderEpoch, timestampMs: 0, records })
      resolve(endOffset - 1)
    }
  }

  /** Undoes what is not committed. */
  rollBack(): void {
    this.logEndOffset = this.highWatermark
    this.#listener?.onRolledBack(this.highWatermark)
    for (const { reject } of this.#waiting.splice(0))
      reject(new QuorumError('QUORUM_ROLLED_BACK', 'Disk full'))
  }

  /** Another node leads; what is not committed may be or not. */
  loseLeadership(toId: number | null = 2): void {
    this.leaderId = toId
    this.logEndOffset = this.highWatermark
    this.#listener?.onRolledBack(this.highWatermark)
    for (const { reject } of this.#waiting.splice(0))
      reject(new QuorumError('QUORUM_LEADERSHIP_LOST', 'Another leads'))
  }

  /** This node is elected; it may decide once the first entry of its epoch is committed. */
  async win(): Promise<void> {
    this.leaderEpoch++
    this.leaderId = null
    this.addOwnEntry()
    this.leaderId = this.nodeId
    await Promise.resolve()
  }

  /** The log gets an entry that the quorum makes for itself: its records are none of the controller's. */
  addOwnEntry(commits = true): void {
    const baseOffset = this.logEndOffset
    this.logEndOffset++
    if (commits) this.commitOwnEntry(baseOffset)
  }

  commitOwnEntry(baseOffset = this.logEndOffset - 1): void {
    this.highWatermark = baseOffset + 1
    this.#listener?.onCommit({
      baseOffset,
      endOffset: baseOffset + 1,
      epoch: this.leaderEpoch,
      timestampMs: 0,
      records: [],
    })
  }

  fail(): void {
    const error = new QuorumError('QUORUM_FAILED', 'Disk broken')
    this.#listener?.onFailed(error)
    for (const { reject } of this.#waiting.splice(0)) reject(error)
  }
}

/** A clock that stands until it is moved. */
export class ManualClock implements Clock {
  #nowMs = 0
  #timers: { atMs: number; task: () => void }[] = []

  wallTimeMs(): number {
    return this.#nowMs
  }

  monotonicMs(): number {
    return this.#nowMs
  }

  after(delayMs: number, task: () => void): () => void {
    const timer = { atMs: this.#nowMs + delayMs, task }
    this.#timers.push(timer)
    return () => {
      this.#timers = this.#timers.filter((each) => each !== timer)
    }
  }

  endOfTurn(task: () => void): void {
    queueMicrotask(task)
  }

  advance(ms: number): void {
    this.#nowMs += ms
    const due = this.#timers.filter(({ atMs }) => atMs <= this.#nowMs)
    this.#timers = this.#timers.filter(({ atMs }) => atMs > this.#nowMs)
    for (const { task } of due) task()
  }

  get timerCount(): number {
    return this.#timers.length
  }

  /** Moves on in steps, and lets everything that came due settle after each. */
  async pass(ms: number, stepMs = 100): Promise<void> {
    for (let passedMs = 0; passedMs < ms; passedMs += stepMs) {
      this.advance(Math.min(stepMs, ms - passedMs))
      await settle()
    }
  }
}

/** A small linear congruential generator: draws are a function of the seed. */
export class SeededRandom implements Random {
  #state: number

  constructor(seed = 1) {
    this.#state = seed
  }

  below(bound: number): number {
    this.#state = (Math.imul(this.#state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((this.#state / 2 ** 32) * bound)
  }

  uuid(): string {
    const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789'
    return `${Array.from({ length: 21 }, () => letters[this.below(letters.length)]).join('')}A`
  }
}

/** Lets promises settle that wait for nothing but each other. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 50; turn++) await Promise.resolve()
}

export interface TestController {
  readonly controller: Controller
  readonly quorum: FakeQuorum
  readonly clock: ManualClock
}

/** A controller with `brokerCount` live brokers, numbered from 1, on racks `r1` and `r2` in turn. */
export async function startController(
  options: {
    brokerCount?: number
    staticEntries?: Record<string, string>
    seed?: number
    quorum?: FakeQuorum
    clock?: ManualClock
    /** Whether the first records are waited for. */
    waits?: boolean
  } = {},
): Promise<TestController> {
  const staticEntries = new Map(Object.entries(options.staticEntries ?? {}))
  const settings: ControllerSettings = {
    nodeId: 1,
    staticEntries,
    cluster: resolveConfigs(clusterConfigShape, [{ source: 'static broker', entries: staticEntries }]),
  }
  const quorum = options.quorum ?? new FakeQuorum()
  const clock = options.clock ?? new ManualClock()
  const controller = new Controller(
    { clock, random: new SeededRandom(options.seed), logger: silentLogger },
    quorum,
    settings,
  )
  const started = controller.start()
  if (options.waits !== false) await started
  for (let id = 1; id <= (options.brokerCount ?? 1); id++) await joinBroker(controller, id)
  return { controller, quorum, clock }
}

/** Registers a broker and unfences it. @returns Its epoch. */
export async function joinBroker(
  controller: Controller,
  brokerId: number,
  incarnation = 'I',
  options: { disk?: string; rack?: string | null; previousBrokerEpoch?: number; staysFenced?: boolean } = {},
): Promise<number> {
  const { error, brokerEpoch } = await controller.registerBroker({
    ...(options.previousBrokerEpoch === undefined
      ? {}
      : { previousBrokerEpoch: options.previousBrokerEpoch }),
    brokerId,
    incarnationId: `${incarnation}${brokerId}`.padEnd(22, 'A'),
    listeners: [{ name: 'PLAINTEXT', host: 'localhost', port: 9092 + brokerId, securityProtocol: 0 }],
    rack: options.rack === undefined ? `r${1 + (brokerId % 2)}` : options.rack,
    logDirs: [`${options.disk ?? 'D'}${brokerId}`.padEnd(22, 'A')],
  })
  if (error !== 'NONE') throw new Error(`Registration failed with ${error}`)
  if (options.staysFenced === true) return brokerEpoch
  await heartbeat(controller, brokerId, brokerEpoch)
  return brokerEpoch
}

export function heartbeat(
  controller: Controller,
  brokerId: number,
  brokerEpoch: number,
  wishes: { wantsFence?: boolean; wantsShutdown?: boolean; metadataEndOffset?: number } = {},
) {
  return controller.heartbeat({
    brokerId,
    brokerEpoch,
    metadataEndOffset: wishes.metadataEndOffset ?? controller.image.endOffset,
    wantsFence: wishes.wantsFence ?? false,
    wantsShutdown: wishes.wantsShutdown ?? false,
  })
}

type CreatableTopic = RequestOf<'CreateTopics'>['topics'][number]

export function topicRequest(
  name: string,
  options: Partial<Omit<CreatableTopic, 'configs'>> & { configs?: Record<string, string | null> } = {},
): CreatableTopic {
  return {
    name,
    numPartitions: options.numPartitions ?? -1,
    replicationFactor: options.replicationFactor ?? -1,
    assignments: options.assignments ?? [],
    configs: Object.entries(options.configs ?? {}).map(([key, value]) => ({ name: key, value })),
  }
}

/** Creates topics and gives back, by name, the error's name or `NONE`. */
export async function create(
  controller: Controller,
  topics: CreatableTopic[],
  validateOnly = false,
): Promise<Record<string, string>> {
  const response = await controller.createTopics({ topics, timeoutMs: 1000, validateOnly })
  return Object.fromEntries(response.topics.map(({ name, errorCode }) => [name, nameOf(errorCode)]))
}

/** One partition in short: leader, leader epoch and sets. */
export function stateOf(image: ClusterImage, name: string, index = 0): string {
  const { leader, leaderEpoch, isr, eligibleLeaderReplicas, lastKnownEligibleLeaders, isRecovering } =
    partitionsOf(image, name)[index]!
  const elr = eligibleLeaderReplicas.length > 0 ? ` elr ${eligibleLeaderReplicas.join()}` : ''
  const last = lastKnownEligibleLeaders.length > 0 ? ` last ${lastKnownEligibleLeaders.join()}` : ''
  return `${leader ?? 'none'}@${leaderEpoch} isr ${isr.join()}${elr}${last}${isRecovering ? ' recovering' : ''}`
}

export function nameOf(errorCode: number): string {
  return errorByCode(errorCode).name
}

export function partitionsOf(image: ClusterImage, name: string) {
  return image.topicsByName.get(name)?.partitions ?? []
}
