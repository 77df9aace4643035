/**
 * Members of a group on machines of their own: the project's own consumer, which handles records at its pace and commits by
 * itself or when told to, and tells a GroupHistory of all it does. They can be killed, stopped for a while (SIGSTOP), cut off,
 * and leave in good order.
 */
import { ClientError } from '../../../src/client/client-error.ts'
import type { Client } from '../../../src/client/client.ts'
import type { ConsumerRecord, TopicPartition } from '../../../src/client/consumer-options.ts'
import type { GroupConsumer } from '../../../src/client/group/group-consumer.ts'
import type { GroupConsumerOptions } from '../../../src/client/group/group-options.ts'
import type { Prng } from '../../../src/env/sim/prng.ts'
import type { SimNode } from '../../../src/env/sim/sim-node.ts'
import { logName } from './cluster-clients.ts'
import type { Place } from './cluster-clients.ts'
import type { GroupHistory, Ownership, Suspect } from './group-history.ts'
import type { Settings, SimCluster } from './sim-cluster.ts'

export const GROUP = 'members'
/** One that joins while nobody of the cluster is to be reached waits for longer than any storm lasts; in virtual ms. */
const BOOTSTRAP_MS = 300_000
export const GROUP_SESSION_MS = 6000

/** Sessions in proportion to those of brokers, and a short heartbeat, so that much happens in little virtual time. */
export const GROUP_SETTINGS: Settings = {
  'offsets.topic.num.partitions': '3',
  'group.initial.rebalance.delay.ms': '0',
  'group.consumer.session.timeout.ms': String(GROUP_SESSION_MS),
  'group.consumer.heartbeat.interval.ms': '500',
}

export interface MemberOptions extends Partial<GroupConsumerOptions> {
  readonly topics?: readonly string[] | { readonly pattern: string }
  /** How records are taken. */
  readonly mode?: 'records' | 'run'
  /** How long a record is in hand, in virtual ms. */
  readonly handlingMs?: readonly [number, number]
  /** Of a member that commits by hand: after so many records. */
  readonly commitEvery?: number
  /** Whether it may end by itself. */
  readonly mayFail?: boolean
}

export class GroupMember implements Suspect {
  readonly name: string
  readonly node: SimNode
  readonly consumer: GroupConsumer
  isAlive = true
  /** It stood still at some time: what it does may take as much longer. */
  wasPaused = false
  /** Why its loop ended by itself. */
  failure: Error | null = null
  /** Multiplies the time that records are in hand. */
  slowness = 1
  /** In its hands now. */
  inHand = 0
  readonly #cluster: SimCluster
  readonly #history: GroupHistory
  readonly #client: Client
  readonly #random: Prng
  readonly #options: Required<Pick<MemberOptions, 'mode' | 'handlingMs' | 'commitEvery' | 'mayFail'>>
  readonly #owned = new Map<string, Ownership>()
  readonly #done = new Map<string, TopicPartition & { offset: number }>()
  #doneCount = 0

  constructor(cluster: SimCluster, history: GroupHistory, name: string, options: MemberOptions = {}) {
    const { mode = 'records', handlingMs = [0, 5], commitEvery = 5, mayFail = false, ...rest } = options
    this.#cluster = cluster
    this.#history = history
    this.name = name
    this.node = cluster.simulation.node(name)
    if (!this.node.isUp) this.node.restart()
    this.#options = { mode, handlingMs, commitEvery, mayFail }
    this.#random = cluster.simulation.stream(`member ${name} ${this.node.generation}`)
    this.#client = cluster.client(name, { bootstrapTimeoutMs: BOOTSTRAP_MS })
    this.consumer = this.#client.consumer({
      group: GROUP,
      from: 'beginning',
      commitIntervalMs: 300,
      maxWaitMs: 200,
      topics: ['t'],
      ...rest,
      onAssigned: async (partitions) => {
        for (const place of partitions)
          this.#owned.set(logName(place), history.assigned(this, place, this.consumer.position(place)))
        await rest.onAssigned?.(partitions)
      },
      onRevoked: async (partitions) => {
        if (rest.commit === 'manual') await this.#commit(partitions)
        await rest.onRevoked?.(partitions)
        this.#end(partitions, 'revoked')
      },
      onLost: async (partitions) => {
        this.#end(partitions, 'lost')
        await rest.onLost?.(partitions)
      },
    })
    void this.#loop(rest.commit === 'manual')
  }

  get memberId(): string {
    return this.consumer.memberId
  }

  get isClosed(): boolean {
    return this.consumer.isClosed
  }

  /** Its process ends at once. */
  crash(): void {
    this.isAlive = false
    this.node.crash()
  }

  /** SIGSTOP, and SIGCONT after so many ms. */
  pause(ms: number): void {
    const { generation } = this.node
    this.wasPaused = true
    this.node.pause()
    this.#cluster.simulation.schedule(ms, `${this.name} goes on`, () => {
      if (this.node.generation === generation) this.node.resume()
    })
  }

  /** In good order. */
  async close(): Promise<void> {
    await this.consumer.close()
    this.isAlive = false
    await this.#client.close()
  }

  async #loop(isManual: boolean): Promise<void> {
    const { mode } = this.#options
    try {
      if (mode === 'run') await this.consumer.run((record) => this.#handle(record), { concurrency: 3 })
      else {
        for await (const record of this.consumer) {
          await this.#handle(record)
          if (isManual && ++this.#doneCount % this.#options.commitEvery === 0)
            await this.#commit([...this.#done.values()])
        }
      }
    } catch (error) {
      this.failure = error as Error
      if (this.isAlive && !this.#options.mayFail)
        this.#history.faults.push(`${this.name} ended with ${this.failure.message}`)
    }
  }

  async #handle(record: ConsumerRecord): Promise<void> {
    const log = logName(record)
    const ownership = this.#owned.get(log)
    this.#history.begun(this, record, ownership)
    this.inHand++
    const ms = this.#random.between(...this.#options.handlingMs) * this.slowness
    await new Promise<void>((resolve) => void this.node.env.clock.after(ms, resolve))
    this.inHand--
    this.#history.done(record, ownership)
    const { topic, partition, offset } = record
    if (ownership !== undefined && this.#owned.get(log) === ownership)
      this.#done.set(log, { topic, partition, offset: offset + 1 })
  }

  async #commit(places: readonly Place[]): Promise<void> {
    const wanted = places.flatMap((place) => {
      const ownership = this.#owned.get(logName(place))
      const done = this.#done.get(logName(place))
      if (ownership === undefined || done === undefined) return []
      return [{ ownership, done, wasUsurped: ownership.isUsurped }]
    })
    try {
      await this.consumer.commit(wanted.map(({ done }) => ({ ...done })))
      for (const { ownership, done, wasUsurped } of wanted)
        this.#history.acknowledged(ownership, done.offset, wasUsurped)
    } catch (error) {
      if (!(error instanceof ClientError)) throw error
      this.#history.count(`commit: ${error.code}`)
    }
  }

  #end(partitions: readonly TopicPartition[], how: 'revoked' | 'lost'): void {
    for (const place of partitions) {
      const log = logName(place)
      const ownership = this.#owned.get(log)
      this.#owned.delete(log)
      this.#done.delete(log)
      if (ownership !== undefined) this.#history.ended(ownership, how)
    }
  }
}

/** Whether every partition has one owner among the members that live, nobody has anything else, and each has its share (G2). */
export function isSettled(members: readonly GroupMember[], places: readonly Place[]): boolean {
  const shares = members
    .filter(({ isAlive, isClosed }) => isAlive && !isClosed)
    .map(({ consumer }) => consumer.assignment.map(logName))
  const owned = shares.flat()
  const sizes = shares.map(({ length }) => length)
  return (
    owned.length === places.length &&
    places.every((place) => owned.includes(logName(place))) &&
    Math.max(...sizes) - Math.min(...sizes) <= 1
  )
}
