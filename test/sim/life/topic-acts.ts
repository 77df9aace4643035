/**
 * Topics with a fate of their own: records are deleted, by request and by size; the topic grows; it is deleted and made again
 * under its name; it may be led by whoever is left. Each has a producer of its own, which knows what must be there at the end.
 */
import { ClientError } from '../../../src/client/client-error.ts'
import type { Client } from '../../../src/client/client.ts'
import type { Producer } from '../../../src/client/producer.ts'
import { readAll } from '../support/cluster-clients.ts'
import type { ReadRecord } from '../../support/log-checker.ts'
import type { SimCluster } from '../support/sim-cluster.ts'
import type { Scene } from './scene.ts'
import { anyOf } from './weather.ts'
import type { Fault, World } from './world.ts'

const PATIENCE_MS = 10_000
const LONG_MS = 100_000
/** Topics with a fate of their own in one life: each costs time to simulate. */
const LOTS_MAX = 4
const LOTS = new WeakMap<Scene, number>()
const PADDING = 'x'.repeat(120)
/** Bytes of a log that retention by size leaves at least. */
const BOUNDED_BYTES = 3000
/** Records in so many bytes, if each is a batch of its own: header, and what is around a value. */
const BOUNDED_COUNT_MIN = Math.floor(BOUNDED_BYTES / (61 + 20 + PADDING.length))

interface Sent {
  readonly id: string
  readonly partition: number
  readonly sentMs: number
  /** When its outcome was known; Infinity: not yet. */
  settledMs: number
  /** Null: it is not known to be there. */
  offset: number | null
}

export const TOPIC_ACTS: Readonly<Record<string, Fault>> = {
  deleteRecords: (world) =>
    live(world, 'short', {}, async (lot) => {
      const { scene, random } = world
      await lot.send(20 + random.below(40))
      const acked = lot.acked(0)
      if (acked.length === 0) return
      const before = anyOf(random, acked).offset!
      lot.askedOffset = before
      const [remaining] = await scene.insist(
        () => scene.admin.deleteRecords([{ topic: lot.name, partition: 0, before }]),
        PATIENCE_MS,
      )
      if (remaining!.logStartOffset < before)
        scene.fail(`R12: ${lot.name} was cut below ${before}, and begins at ${remaining!.logStartOffset}`)
      scene.mark('records deleted')
      lot.startOffset = before
      await lot.send(10)
    }),
  retainBySize: (world) =>
    live(
      world,
      'bounded',
      { 'retention.bytes': String(BOUNDED_BYTES), 'segment.bytes': '1024' },
      async (lot) => {
        lot.mayLoseOldest = true
        for (let round = 0; round < 4; round++) {
          await lot.send(25)
          await world.scene.sleep(world.random.between(100, 1500))
        }
      },
    ),
  growTopic: (world) =>
    live(world, 'growing', {}, async (lot) => {
      const { scene, random } = world
      await lot.send(10)
      const count = 2 + random.below(3)
      await scene
        .insist(
          () => scene.admin.createPartitions([{ name: lot.name, count }]),
          LONG_MS,
          (code) => code === 'INVALID_PARTITIONS',
        )
        .catch((error: unknown) => {
          if (!(error instanceof ClientError) || error.code !== 'INVALID_PARTITIONS') throw error
        })
      lot.partitions = count
      await lot.send(30)
      scene.mark('topic grew')
    }),
  remakeTopic: (world) =>
    live(world, 'again', {}, async (lot) => {
      const { scene, random } = world
      const sending = lot.sendUntil(() => scene.isOver && lot.isRemade)
      const reader = scene.cluster.client(`reader of ${lot.name}`)
      const consumer = reader.consumer({ from: 'beginning', maxWaitMs: 100 })
      consumer.assign([{ topic: lot.name, partition: 0 }])
      void (async () => {
        for (;;) {
          try {
            for await (const { value } of consumer) if (value === null) scene.fail('A record without a value')
            return
          } catch (error) {
            if (!(error instanceof ClientError)) throw error
            if (!error.retriable) return // It is told that its topic is another: that is an end.
            if (lot.isRemade) return
            await scene.sleep(100)
          }
        }
      })()
      for (let count = 1 + random.below(3); count > 0; count--) {
        await scene.sleep(random.between(100, 1500))
        lot.deletedMs = scene.cluster.simulation.nowMs
        await lot.remake()
        lot.createdMs = scene.cluster.simulation.nowMs
        scene.mark('topic made again')
      }
      lot.isRemade = true
      await sending
      await reader.close()
    }),
  uncleanTopic: (world) => {
    const durability = anyOf(world.random, ['disk', 'os'])
    const configs = { 'unclean.leader.election.enable': 'true', 'min.insync.replicas': '1', durability }
    live(world, 'risky', configs, async (lot) => {
      lot.watch()
      for (let round = 0; round < 15 && !world.scene.isOver; round++) {
        await lot.send(4)
        await world.scene.sleep(world.random.between(50, 1000))
      }
    })
  },
}

/** The life of one such topic, and the verdict on it when the storm is over. */
function live(
  { scene }: World,
  kind: string,
  configs: Readonly<Record<string, string>>,
  act: (lot: Lot) => Promise<void>,
): void {
  if (scene.isOver || (LOTS.get(scene) ?? 0) >= LOTS_MAX) return
  LOTS.set(scene, (LOTS.get(scene) ?? 0) + 1)
  const lot = new Lot(scene, `${kind}-${scene.nextNumber()}`, configs)
  scene.work(
    lot.name,
    async () => {
      await lot.create()
      scene.mark(`topic: ${kind}`)
      try {
        await act(lot)
      } finally {
        await lot.stop()
        scene.afterwards(`verdict on ${lot.name}`, () => lot.judge())
      }
    },
    false,
  )
}

class Lot {
  readonly name: string
  partitions = 1
  /** Records below were deleted on purpose. */
  startOffset = 0
  /** Records below may have been: what is asked for may come about and be answered with an error. */
  askedOffset = 0
  mayLoseOldest = false
  isRemade = false
  /** When the last deletion was asked for, and when the topic was known to be there again. */
  deletedMs = -Infinity
  createdMs = -Infinity
  readonly #scene: Scene
  readonly #cluster: SimCluster
  readonly #configs: Readonly<Record<string, string>>
  readonly #client: Client
  readonly #producer: Producer
  readonly #sent: Sent[] = []
  #mayLose = false
  #wasUnclean = false

  constructor(scene: Scene, name: string, configs: Readonly<Record<string, string>>) {
    this.#scene = scene
    this.#cluster = scene.cluster
    this.name = name
    this.#configs = configs
    this.#client = scene.cluster.client(`producer of ${name}`)
    this.#producer = this.#client.producer({ deliveryTimeoutMs: 8000 })
  }

  async create(): Promise<void> {
    const { admin } = this.#scene
    await this.#unless('TOPIC_ALREADY_EXISTS', () =>
      admin.createTopics([{ name: this.name, partitions: 1, configs: this.#configs }]),
    )
  }

  async remake(): Promise<void> {
    await this.#unless('UNKNOWN_TOPIC_OR_PARTITION', () => this.#scene.admin.deleteTopics([this.name]))
    await this.create()
  }

  /** From now on losses are allowed if an image tells of an unclean election. */
  watch(): void {
    this.#mayLose = true
    let last: unknown = null
    this.#cluster.simulation.checks.push(() => {
      if (this.#wasUnclean || !this.#cluster.hasImage) return
      for (const { broker } of this.#cluster.hosts) {
        const topic = broker?.image.topicsByName.get(this.name)
        if (topic === undefined || topic === last) continue
        last = topic
        if (topic.partitions[0]!.isRecovering) this.#wasUnclean = true
      }
    })
  }

  acked(partition: number): readonly Sent[] {
    return this.#sent.filter((each) => each.offset !== null && each.partition === partition)
  }

  /** Sends so many, and waits for their outcomes. */
  async send(count: number): Promise<void> {
    await Promise.all(Array.from({ length: count }, () => this.#send()))
  }

  async sendUntil(isEnough: () => boolean): Promise<void> {
    while (!isEnough()) {
      await this.send(2)
      await this.#scene.sleep(30)
    }
  }

  async stop(): Promise<void> {
    await this.#client.close()
  }

  /** @throws Error naming what is broken. */
  async judge(): Promise<void> {
    const places = Array.from({ length: this.partitions }, (_, partition) => ({
      topic: this.name,
      partition,
    }))
    const reads = await readAll(this.#cluster, places)
    for (const [partition, { records }] of reads.entries()) this.#judge(partition, records)
    if (this.#wasUnclean) this.#scene.mark('unclean election, flagged')
  }

  #judge(partition: number, records: readonly ReadRecord[]): void {
    const found = new Map<string, number>()
    for (const { id, offset } of records) {
      if (found.has(id))
        throw new Error(`P1: ${id} is twice in ${this.name}: at ${found.get(id)} and ${offset}`)
      found.set(id, offset)
    }
    const first = records[0]?.offset ?? 0
    if (first < this.startOffset)
      throw new Error(`R12: ${this.name} shows offset ${first}, and was cut below ${this.startOffset}`)
    if (this.mayLoseOldest && first > 0) this.#scene.mark('records expired by size')
    const from = this.mayLoseOldest ? first : this.askedOffset
    const acked = this.acked(partition)
    const last = acked.at(-1)
    // What was sent after it may be in the log although its outcome is not known, and push it out.
    const isPushedOut = last !== undefined && first > last.offset! && records.length >= BOUNDED_COUNT_MIN
    if (this.mayLoseOldest && last !== undefined && !found.has(last.id) && !isPushedOut)
      throw new Error(`R1: the newest record of ${this.name}, ${last.id}, is gone`)
    for (const { id, offset, sentMs, settledMs } of acked) {
      const isThere = found.has(id)
      if (isThere && settledMs < this.deletedMs)
        throw new Error(`RP-21: ${id} was in ${this.name} before it was deleted, and is in the new one`)
      const mustBe = sentMs >= this.createdMs && offset! >= from
      if (!mustBe || isThere) continue
      if (!this.#mayLose || !this.#wasUnclean)
        throw new Error(`R1: ${id} was acknowledged in ${this.name} at offset ${offset}, and is gone`)
      this.#scene.mark('lost by an unclean election, flagged')
    }
  }

  async #send(): Promise<void> {
    const partition = this.#sent.length % this.partitions
    const { simulation } = this.#cluster
    const id = `${this.name}:${this.#sent.length}`
    const sent: Sent = { id, partition, sentMs: simulation.nowMs, settledMs: Infinity, offset: null }
    this.#sent.push(sent)
    try {
      const { offset } = await this.#producer.send({ topic: this.name, partition, value: `${id}|${PADDING}` })
      sent.offset = offset
    } catch (error) {
      if (!(error instanceof ClientError)) throw error
    } finally {
      sent.settledMs = simulation.nowMs
    }
  }

  async #unless(done: string, ask: () => Promise<unknown>): Promise<void> {
    try {
      await this.#scene.insist(ask, LONG_MS, (code) => code === done)
    } catch (error) {
      if (!(error instanceof ClientError) || error.code !== done) throw error
    }
  }
}
