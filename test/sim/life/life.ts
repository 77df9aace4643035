/**
 * One random life of a whole cluster, a function of its seed alone. Three phases (docs/faults.md section 7):
 *
 *   storm       faults as the weather has them, while idempotent producers write with acks=all, consumers read, an operator
 *               creates and deletes topics, and members of a group come and go; what must hold always is checked throughout
 *   healing     no more faults: the cluster must become whole by itself within a bound (S3), and make progress
 *   verdict     every acknowledged record is there, once and in order (R1, P1), on all replicas alike (R16); the group has
 *               handled it, and has committed that (G1 to G4, G8); what the operator was told is so (M11)
 *
 * A life tells how it ended as a report, never by an exception. Parts of it can be left out (Cuts), and somebody may look on.
 */
import { USUAL_LATENCY } from '../../../src/env/sim/sim-disk.ts'
import { Prng } from '../../../src/env/sim/prng.ts'
import type { Place } from '../support/cluster-clients.ts'
import { ClusterLoad } from '../support/cluster-load.ts'
import { SteadyOperator } from '../support/cluster-operator.ts'
import { GroupLoad } from '../support/group-load.ts'
import { GROUP_SETTINGS } from '../support/group-members.ts'
import { SimCluster } from '../support/sim-cluster.ts'
import { DRAWN_KINDS, FAULTS } from './faults.ts'
import { marksOf } from './marks.ts'
import { Scene } from './scene.ts'
import { drawWeather, STORM_MS } from './weather.ts'
import type { Act, Weather } from './weather.ts'
import { VOLUME_BYTES } from './world.ts'
import type { World } from './world.ts'

/** After the storm the cluster must be whole within this, in virtual ms. */
const HEALING_MS = 60_000
/**
 * Around each fault producers are busy for so long, in virtual ms; at other times they send now and then. What is under way when
 * something breaks is what finds bugs, and everything else costs as much.
 */
const ROUSED_MS = 45

/**
 * What is left out of a life, so that less is there to read when it fails. The draws of what stays are what they were, but for
 * those that all share (order of simultaneous events, delays of links): a smaller life may go another way.
 */
export interface Cuts {
  /** Numbers of the acts that do not happen. */
  readonly without?: ReadonlySet<number>
  /** Only the first so many producers, consumers; at least one producer. */
  readonly producers?: number
  readonly consumers?: number
  /** False: there is none. */
  readonly hasGroup?: boolean
  readonly hasOperator?: boolean
  /** The storm ends after so long, in virtual ms. */
  readonly stormMs?: number
}

/** Somebody who looks on. Must only read, and draw nothing. */
export interface LifeWatcher {
  /** Before the first event. */
  begun(cluster: SimCluster, weather: Weather): void
  /** An act of the storm, before it happens. */
  act(act: Act): void
  phase(name: LifePhase): void
}

export const LIFE_PHASES = ['start', 'storm', 'healing', 'progress', 'verdict', 'end'] as const
export type LifePhase = (typeof LIFE_PHASES)[number]

export interface LifeOptions extends Cuts {
  /** The kinds of faults that may be drawn. Default: all. */
  readonly kinds?: readonly string[]
  readonly groupChance?: number
  /** Keeps the trace, event for event. */
  readonly keepsTrace?: boolean
  readonly watcher?: LifeWatcher
}

export interface LifeReport {
  readonly seed: number
  readonly weather: Weather
  /** What was lived through of it. */
  readonly lived: Weather
  /** When the storm began, in virtual ms; 0: it did not. */
  readonly stormAtMs: number
  /** Why the life failed; null: it did not. */
  readonly failure: string | null
  /** Where it failed; 'end': it did not. */
  readonly phase: LifePhase
  /** Of all events: equal seeds have equal ones (S7). */
  readonly hash: string
  readonly events: number
  readonly virtualMs: number
  readonly ackedCount: number
  /** Numbers of the acts that happened. */
  readonly actsDone: readonly number[]
  /** How often each kind of fault was made. */
  readonly faults: ReadonlyMap<string, number>
  /** How often each rare path was taken. */
  readonly marks: ReadonlyMap<string, number>
  /** The world as it was at the end, for whoever looks into a failure. */
  readonly cluster: SimCluster
}

export async function runLife(seed: number, options: LifeOptions = {}): Promise<LifeReport> {
  const weather = drawWeather(new Prng(`swarm ${seed}`, 'weather'), {
    faults: options.kinds ?? DRAWN_KINDS,
    ...(options.groupChance === undefined ? {} : { groupChance: options.groupChance }),
  })
  const { brokers, settings, minIsr } = weather
  const cluster = new SimCluster({
    seed: `swarm ${seed}`,
    brokers,
    settings: { ...GROUP_SETTINGS, ...settings, 'min.insync.replicas': String(minIsr) },
    keepsTrace: options.keepsTrace ?? false,
  })
  const lived = cut(weather, options)
  options.watcher?.begun(cluster, lived)
  const life = new Life(cluster, lived, seed, options)
  const failure = await life.live().then(
    () => null,
    (error: unknown) => (error instanceof Error ? error.message : String(error)),
  )
  const { simulation } = cluster
  return {
    seed,
    weather,
    lived,
    stormAtMs: life.stormAtMs,
    failure,
    phase: life.phase,
    hash: simulation.trace.hash,
    events: simulation.eventCount,
    virtualMs: simulation.nowMs,
    ackedCount: life.ackedCount,
    actsDone: life.actsDone,
    faults: life.faults,
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

/** The weather without what is left out. */
function cut(
  weather: Weather,
  { without, producers, consumers, hasGroup, stormMs = STORM_MS }: Cuts,
): Weather {
  return {
    ...weather,
    producers: weather.producers.slice(0, producers),
    consumers: weather.consumers.slice(0, consumers),
    hasGroup: weather.hasGroup && hasGroup !== false,
    acts: weather.acts.filter(({ index, atMs }) => without?.has(index) !== true && atMs < stormMs),
  }
}

class Life {
  readonly marks = new Map<string, number>()
  readonly actsDone: number[] = []
  readonly faults = new Map<string, number>()
  phase: LifePhase = 'start'
  stormAtMs = 0
  readonly #cluster: SimCluster
  readonly #weather: Weather
  readonly #seed: number
  readonly #options: LifeOptions
  #load: ClusterLoad | null = null

  constructor(cluster: SimCluster, weather: Weather, seed: number, options: LifeOptions) {
    this.#cluster = cluster
    this.#weather = weather
    this.#seed = seed
    this.#options = options
    cluster.listeners.push((line) => {
      for (const mark of marksOf(line)) this.#mark('', new Map([[mark, 1]]))
    })
  }

  get ackedCount(): number {
    return this.#load?.ackedCount ?? 0
  }

  async live(): Promise<void> {
    const cluster = this.#cluster
    const weather = this.#weather
    await cluster.begun()
    const places = await this.#createTopics()
    const { producers, consumers } = weather
    const load = new ClusterLoad(cluster, { places, producers, consumers })
    this.#load = load
    const operator = this.#options.hasOperator === false ? null : new SteadyOperator(cluster)
    const group = new GroupLoad(cluster, load.ledger, places)
    if (weather.hasGroup) group.start()
    const check = (): void => {
      load.check()
      group.history.check()
    }
    cluster.restartMs = 500
    const scene = new Scene(cluster, places)
    try {
      this.#enter('storm')
      await this.#storm(scene, check)
      operator?.stop()
      group.stop()
      this.#enter('healing')
      await this.#heal(scene)
      this.#enter('progress')
      await load.progressEverywhere()
      await scene.finish()
      this.#enter('verdict')
      await load.finish()
      if (weather.hasGroup) await group.finish(HEALING_MS)
      if (operator !== null) {
        await cluster.run(() => !operator.isBusy)
        operator.check()
        await cluster.run(operator.close())
      }
      await cluster.run(Promise.all(cluster.hosts.map(({ broker }) => broker!.close())))
      await load.invariants.checkClosed()
      this.#enter('end')
    } finally {
      load.invariants.close()
      this.#mark('', scene.marks)
      this.#mark('producer: ', load.outcomes)
      this.#mark('', load.invariants.marks)
      this.#mark('group: ', group.history.counts)
      if (operator !== null) this.#mark('operator: ', new Map(Object.entries(operator.counts)))
    }
  }

  #enter(phase: LifePhase): void {
    this.phase = phase
    this.#options.watcher?.phase(phase)
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

  async #storm(scene: Scene, check: () => void): Promise<void> {
    const cluster = this.#cluster
    const startMs = cluster.simulation.nowMs
    this.stormAtMs = startMs
    for (const act of this.#weather.acts) {
      await cluster.pass(startMs + act.atMs - ROUSED_MS / 2 - cluster.simulation.nowMs)
      this.#load!.rouse(ROUSED_MS)
      await cluster.pass(startMs + act.atMs - cluster.simulation.nowMs)
      check()
      const random = new Prng(`swarm ${this.#seed}`, `act ${act.index}`)
      const world: World = { cluster, random, places: scene.places, scene }
      this.#options.watcher?.act(act)
      this.actsDone.push(act.index)
      this.faults.set(act.fault, (this.faults.get(act.fault) ?? 0) + 1)
      FAULTS[act.fault]!(world)
    }
    await cluster.pass(startMs + (this.#options.stormMs ?? STORM_MS) - cluster.simulation.nowMs)
    check()
  }

  /** S3: no more faults; everybody comes back, catches up and is in sync within a bound. */
  async #heal(scene: Scene): Promise<void> {
    const cluster = this.#cluster
    scene.end()
    cluster.simulation.network.heal()
    for (const { node } of cluster.hosts) {
      node.disk.freeBytes = VOLUME_BYTES
      node.disk.latency = USUAL_LATENCY
      node.disk.unstall()
      node.resume()
    }
    await scene.settle()
    await cluster.untilWhole(HEALING_MS)
  }

  #mark(prefix: string, counts: ReadonlyMap<string, number>): void {
    for (const [name, count] of counts)
      this.marks.set(prefix + name, (this.marks.get(prefix + name) ?? 0) + count)
  }
}
