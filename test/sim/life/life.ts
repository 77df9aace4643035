/**
 * One random life of a whole cluster, a function of its seed alone. Three phases (docs/faults.md section 7):
 *
 *   storm       faults as the weather has them, while idempotent producers write with acks=all, consumers read, an operator
 *               creates and deletes topics, and members of a group come and go; what must hold always is checked throughout
 *   healing     no more faults: the cluster must become whole by itself within a bound (S3), and make progress
 *   verdict     every acknowledged record is there, once and in order (R1, P1), on all replicas alike (R16); the group has
 *               handled it, and has committed that (G1 to G4, G8); what the operator was told is so (M11)
 *
 * A life tells how it ended as a report, never by an exception.
 */
import { USUAL_LATENCY } from '../../../src/env/sim/sim-disk.ts'
import { Prng } from '../../../src/env/sim/prng.ts'
import type { Place } from '../support/cluster-clients.ts'
import { ClusterLoad } from '../support/cluster-load.ts'
import { SteadyOperator } from '../support/cluster-operator.ts'
import { GroupLoad } from '../support/group-load.ts'
import { GROUP_SETTINGS } from '../support/group-members.ts'
import { SimCluster } from '../support/sim-cluster.ts'
import { FAULTS } from './faults.ts'
import { drawWeather, STORM_MS } from './weather.ts'
import type { Weather } from './weather.ts'
import { VOLUME_BYTES } from './world.ts'
import type { World } from './world.ts'

/** After the storm the cluster must be whole within this, in virtual ms. */
const HEALING_MS = 60_000

export interface LifeOptions {
  /** Numbers of the acts that do not happen. */
  readonly without?: ReadonlySet<number>
  readonly groupChance?: number
  /** Keeps the trace, event for event. */
  readonly keepsTrace?: boolean
}

export interface LifeReport {
  readonly seed: number
  readonly weather: Weather
  /** Why the life failed; null: it did not. */
  readonly failure: string | null
  /** Of all events: equal seeds have equal ones (S7). */
  readonly hash: string
  readonly events: number
  readonly virtualMs: number
  readonly ackedCount: number
  /** How often each rare path was taken, of a life that went well. */
  readonly marks: ReadonlyMap<string, number>
  /** The world as it was at the end, for whoever looks into a failure. */
  readonly cluster: SimCluster
}

export async function runLife(seed: number, options: LifeOptions = {}): Promise<LifeReport> {
  const weather = drawWeather(new Prng(`swarm ${seed}`, 'weather'), {
    faults: Object.keys(FAULTS),
    ...(options.groupChance === undefined ? {} : { groupChance: options.groupChance }),
  })
  const { brokers, settings, minIsr } = weather
  const cluster = new SimCluster({
    seed: `swarm ${seed}`,
    brokers,
    settings: { ...GROUP_SETTINGS, ...settings, 'min.insync.replicas': String(minIsr) },
    keepsTrace: options.keepsTrace ?? false,
  })
  const life = new Life(cluster, weather, seed)
  const failure = await life.live(options.without ?? new Set()).then(
    () => null,
    (error: unknown) => (error instanceof Error ? error.message : String(error)),
  )
  const { simulation } = cluster
  return {
    seed,
    weather,
    failure,
    hash: simulation.trace.hash,
    events: simulation.eventCount,
    virtualMs: simulation.nowMs,
    ackedCount: life.ackedCount,
    marks: life.marks,
    cluster,
  }
}

/** For the message of a failed test: how to run it again, what the weather was, the last that was logged, the state, and why. */
export function formatFailure({ seed, weather, cluster, failure }: LifeReport): string {
  const { acts, ...climate } = weather
  return [
    `npm run sim -- --seed ${seed} fails after ${acts.length} acts in ${JSON.stringify(climate)}`,
    cluster.tail(),
    cluster.describe(),
    failure,
  ].join('\n')
}

class Life {
  readonly marks = new Map<string, number>()
  readonly #cluster: SimCluster
  readonly #weather: Weather
  readonly #seed: number
  #load: ClusterLoad | null = null

  constructor(cluster: SimCluster, weather: Weather, seed: number) {
    this.#cluster = cluster
    this.#weather = weather
    this.#seed = seed
  }

  get ackedCount(): number {
    return this.#load?.ackedCount ?? 0
  }

  async live(without: ReadonlySet<number>): Promise<void> {
    const cluster = this.#cluster
    const weather = this.#weather
    await cluster.begun()
    const places = await this.#createTopics()
    const { producers, consumers } = weather
    const load = new ClusterLoad(cluster, { places, producers, consumers })
    this.#load = load
    const operator = new SteadyOperator(cluster)
    const group = new GroupLoad(cluster, load.ledger, places)
    if (weather.hasGroup) group.start()
    const check = (): void => {
      load.check()
      group.history.check()
    }
    cluster.restartMs = 500
    await this.#storm(places, without, check)
    operator.stop()
    group.stop()
    await this.#heal()
    await load.progress()
    await load.finish()
    if (weather.hasGroup) await group.finish(HEALING_MS)
    await cluster.run(() => !operator.isBusy)
    operator.check()
    await cluster.run(operator.close())
    await cluster.run(Promise.all(cluster.hosts.map(({ broker }) => broker!.close())))
    this.#mark('producer: ', load.outcomes)
    this.#mark('', load.invariants.marks)
    this.#mark('group: ', group.history.counts)
    this.#mark('operator: ', new Map(Object.entries(operator.counts)))
    for (const { level, message } of cluster.said) this.#mark('', new Map([[`${level}: ${message}`, 1]]))
  }

  async #createTopics(): Promise<Place[]> {
    const { topics, partitions, replicationFactor } = this.#weather
    const places: Place[] = []
    for (let index = 0; index < topics; index++) {
      const topic = `t${index}`
      await this.#cluster.createTopic(topic, { partitions, replicationFactor })
      for (let partition = 0; partition < partitions; partition++) places.push({ topic, partition })
    }
    return places
  }

  async #storm(places: readonly Place[], without: ReadonlySet<number>, check: () => void): Promise<void> {
    const cluster = this.#cluster
    const startMs = cluster.simulation.nowMs
    for (const { index, atMs, fault } of this.#weather.acts) {
      await cluster.pass(startMs + atMs - cluster.simulation.nowMs)
      check()
      const random = new Prng(`swarm ${this.#seed}`, `act ${index}`)
      const world: World = { cluster, random, places }
      if (!without.has(index)) FAULTS[fault]!(world)
    }
    await cluster.pass(startMs + STORM_MS - cluster.simulation.nowMs)
    check()
  }

  /** S3: no more faults; everybody comes back, catches up and is in sync within a bound. */
  async #heal(): Promise<void> {
    const cluster = this.#cluster
    cluster.simulation.network.heal()
    for (const { node } of cluster.hosts) {
      node.disk.freeBytes = VOLUME_BYTES
      node.disk.latency = USUAL_LATENCY
      node.disk.unstall()
      node.resume()
    }
    await cluster.untilWhole(HEALING_MS)
  }

  #mark(prefix: string, counts: ReadonlyMap<string, number>): void {
    for (const [name, count] of counts)
      this.marks.set(prefix + name, (this.marks.get(prefix + name) ?? 0) + count)
  }
}
