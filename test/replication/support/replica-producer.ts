/**
 * Producers of a replication test: idempotent ones that repeat a batch until it is acknowledged by all, and careless ones
 * (acks=1) whose batches make logs part.
 */
import { expect } from 'vitest'
import type { Prng } from '../../../src/env/sim/prng.ts'
import { makeBatch } from '../../log/support.ts'
import type { Produced, ReplicaCluster } from './replica-cluster.ts'

const TIMEOUT_MS = 400
/** Time after which an answer is taken for lost. */
const LOST_MS = 900

/** A batch that was acknowledged. */
export interface Acked {
  readonly index: number
  readonly topicId: string
  readonly producerId: number
  readonly sequence: number
  readonly baseOffset: number
  readonly lastOffset: number
}

export class ReplicaProducer {
  readonly acked: Acked[] = []
  readonly outcomes = new Map<string, number>()
  readonly #cluster: ReplicaCluster
  readonly #random: Prng
  readonly #id: number
  readonly #index: number
  readonly #isCareless: boolean
  #producerId: number
  #sequence = 0
  #topicId: string
  #isStopped = false
  #last = ''
  /** The batch that is neither acknowledged nor given up. */
  isWaiting = false

  constructor(cluster: ReplicaCluster, id: number, index: number, isCareless: boolean) {
    this.#cluster = cluster
    this.#random = cluster.simulation.stream(`producer ${id}`)
    this.#id = id
    this.#index = index
    this.#isCareless = isCareless
    this.#producerId = 1000 * id
    this.#topicId = cluster.controller.topicId
    this.#later(0, () => this.#next())
  }

  stop(): void {
    this.#isStopped = true
  }

  describe(): string {
    const outcomes = [...this.outcomes].map(([name, count]) => `${count} ${name}`).join(', ')
    return `producer ${this.#id}: ${this.isWaiting ? 'waiting' : 'done'}, last ${this.#last}; ${outcomes}`
  }

  #next(): void {
    if (this.#isStopped) return
    const { controller } = this.#cluster
    if (controller.topicId !== this.#topicId) {
      // The topic was made anew: so is the producer.
      this.#topicId = controller.topicId
      this.#producerId++
      this.#sequence = 0
    }
    this.isWaiting = true
    this.#send(1 + this.#random.below(3))
  }

  #send(records: number): void {
    const { controller } = this.#cluster
    if (controller.topicId !== this.#topicId) {
      this.#done(0)
      return
    }
    let isSettled = false
    const settle = (produced: Produced): void => {
      if (isSettled) return
      isSettled = true
      this.#later(this.#random.between(0.05, 2), () => this.#settled(produced, records))
    }
    this.#later(LOST_MS, () => settle('LOST'))
    this.#later(this.#random.between(0.05, 2), () => {
      const life = this.#target()
      if (life === null || controller.topicId !== this.#topicId) return
      const { nodeIds } = this.#cluster
      const batch = makeBatch({
        records,
        valueBytes: 10 + this.#random.below(200),
        tag: nodeIds.length + this.#id,
        ...(this.#isCareless
          ? {}
          : { producerId: this.#producerId, producerEpoch: 0, baseSequence: this.#sequence }),
      })
      life.inTurn(() => {
        if (controller.topicId === this.#topicId)
          this.#cluster.produce(
            life,
            this.#topicId,
            this.#index,
            batch,
            this.#isCareless ? 1 : -1,
            TIMEOUT_MS,
            settle,
          )
      })
    })
  }

  /** Mostly the leader; at times any node, which may take itself for it. */
  #target() {
    const { nodeIds } = this.#cluster
    const id = nodeIds[this.#random.below(nodeIds.length)]!
    return this.#random.chance(0.3) ? this.#cluster.life(id) : this.#cluster.leader(this.#index)
  }

  #settled(produced: Produced, records: number): void {
    const name = typeof produced === 'string' ? produced : 'acked'
    this.#last = name
    this.outcomes.set(name, (this.outcomes.get(name) ?? 0) + 1)
    if (this.#isCareless) {
      this.#done(records)
      return
    }
    if (typeof produced === 'string') {
      expect(
        ['OUT_OF_ORDER_SEQUENCE_NUMBER', 'DUPLICATE_SEQUENCE_NUMBER', 'INVALID_PRODUCER_EPOCH'],
        'P1: what was acknowledged is known to every leader',
      ).not.toContain(name)
      this.#later(this.#random.between(1, 60), () => this.#send(records))
      return
    }
    const { baseOffset, lastOffset } = produced
    this.acked.push({
      index: this.#index,
      topicId: this.#topicId,
      producerId: this.#producerId,
      sequence: this.#sequence,
      baseOffset,
      lastOffset,
    })
    this.#done(records)
  }

  #done(records: number): void {
    this.isWaiting = false
    this.#sequence += records
    this.#later(this.#random.between(0, 12), () => this.#next())
  }

  #later(ms: number, task: () => void): void {
    this.#cluster.simulation.schedule(ms, `producer ${this.#id}`, task)
  }
}
