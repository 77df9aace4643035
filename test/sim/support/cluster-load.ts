/** Producers and consumers at work on a cluster, and the verdict on what became of their records. */
import { checkLogs, formatFaults } from '../../support/log-checker.ts'
import { Ledger, logName, readAll, SteadyConsumer, SteadyProducer } from './cluster-clients.ts'
import type { Place, SteadyOptions } from './cluster-clients.ts'
import { fail } from '../oracle/violation.ts'
import { Oracle } from '../oracle/oracle.ts'
import { PATIENCE_MS } from './sim-cluster.ts'
import type { SimCluster } from './sim-cluster.ts'

/** A record may take its whole delivery time, and that is the producer's default. */
const LAST_OUTCOME_MS = 130_000
/** Time for followers to have what the last producer wrote, and for a leader to find out who lags, which takes 1.5 lag times. */
const SETTLING_MS = 2500
/** A dial is repeated and given up within 5 s; what moves for longer is not at rest. */
const SETTLINGS_AGAIN_MAX = 2

export interface LoadOptions {
  readonly places: readonly Place[]
  /** One producer for each. */
  readonly producers: readonly SteadyOptions[]
  /** One consumer for each: bytes of one partition that it fetches at most. */
  readonly consumers: readonly number[]
}

export class ClusterLoad {
  readonly invariants: Oracle
  /** What its producers know. */
  readonly ledger = new Ledger()
  readonly #cluster: SimCluster
  readonly #places: readonly Place[]
  readonly #producers: readonly SteadyProducer[]
  readonly #consumers: readonly SteadyConsumer[]

  constructor(cluster: SimCluster, { places, producers, consumers }: LoadOptions) {
    this.#cluster = cluster
    this.#places = places
    this.invariants = new Oracle(cluster, this.ledger)
    this.#producers = producers.map(
      (options, index) => new SteadyProducer(cluster, this.ledger, `p${index}`, places, options),
    )
    this.#consumers = consumers.map(
      (bytesMax, index) => new SteadyConsumer(cluster, `c${index}`, places, bytesMax),
    )
  }

  /** Records acknowledged so far. */
  get ackedCount(): number {
    return this.ledger.history.count('acknowledged')
  }

  /** How sends ended, by code, over all producers. */
  get outcomes(): ReadonlyMap<string, number> {
    const all = new Map<string, number>()
    for (const { outcomes } of this.#producers)
      for (const [outcome, count] of outcomes) all.set(outcome, (all.get(outcome) ?? 0) + count)
    return all
  }

  /** Looks at disks and at what consumers have seen. @throws Error naming the invariant. */
  check(): void {
    this.invariants.checkpoint()
    for (const { faults } of this.#consumers) if (faults.length > 0) throw new Error(faults.join('\n'))
    for (const { name, overdue } of this.#producers)
      if (overdue !== null) fail('S2', `${name} has sent ${overdue} and does not hear what became of it`)
  }

  /** Producers send more than they usually do, for so long. */
  rouse(ms: number): void {
    for (const producer of this.#producers) producer.rouse(ms)
  }

  /** Lets the world go on until so many more records are acknowledged. */
  async progress(count = 20, limitMs = PATIENCE_MS): Promise<void> {
    const wanted = this.ackedCount + count
    await this.#cluster.run(() => this.ackedCount >= wanted, limitMs)
  }

  /** S3: lets the world go on until every place has taken a record that was sent after this. */
  async progressEverywhere(limitMs = PATIENCE_MS): Promise<void> {
    const [producer] = this.#producers
    await this.#cluster.run(Promise.all(this.#places.map((place) => producer!.prove(place))), limitMs)
  }

  /**
   * Stops the load and judges it; the cluster must be whole. R1, R16, P1: all replicas are equal, and every acknowledged
   * record is there once, in order, where it was acknowledged; consumers have seen all of it.
   */
  async finish(): Promise<void> {
    const cluster = this.#cluster
    for (const producer of this.#producers) producer.stop()
    await cluster.run(
      () => this.#producers.every(({ pendingCount, overdue }) => pendingCount === 0 || overdue !== null),
      LAST_OUTCOME_MS,
    )
    this.check()
    await this.#settle()
    this.invariants.checkAtRest()
    await this.invariants.checkStill()
    const finals = await cluster.run(readAll(cluster, this.#places))
    const ends = new Map(finals.map(({ log, records }) => [log, (records.at(-1)?.offset ?? -1) + 1]))
    await cluster.run(() =>
      this.#consumers.every((consumer) =>
        this.#places.every((place) => consumer.endOf(place) >= ends.get(logName(place))!),
      ),
    )
    this.check()
    const faults = checkLogs(this.ledger.history, [
      ...finals,
      ...this.#consumers.flatMap(({ reads }) => reads),
    ])
    if (faults.length > 0) throw new Error(formatFaults(faults))
    for (const client of [...this.#producers, ...this.#consumers]) await cluster.run(client.close())
  }

  /**
   * Whoever dialled in vain while its packets were lost may be found silent after the links have healed, and comes back when the
   * system repeats the dial: that is the storm's, too.
   */
  async #settle(): Promise<void> {
    const cluster = this.#cluster
    await cluster.pass(SETTLING_MS)
    for (let again = 0; again < SETTLINGS_AGAIN_MAX && !cluster.isWhole; again++) {
      await cluster.untilWhole()
      await cluster.pass(SETTLING_MS)
    }
  }
}
