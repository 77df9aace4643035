/** A cluster of three, a topic that is written to all the time, and a group that reads it: for tests of one fault each. */
import type { Place } from './cluster-clients.ts'
import { Ledger, SteadyProducer } from './cluster-clients.ts'
import { GroupLoad } from './group-load.ts'
import { GROUP_SETTINGS } from './group-members.ts'
import { SimCluster } from './sim-cluster.ts'
import type { Host, Settings } from './sim-cluster.ts'

const LAST_OUTCOME_MS = 130_000

export interface GroupWorldOptions {
  readonly partitions?: number
  readonly settings?: Settings
}

export class GroupWorld extends GroupLoad {
  readonly cluster: SimCluster
  readonly places: readonly Place[]
  readonly #producer: SteadyProducer

  private constructor(cluster: SimCluster, places: readonly Place[]) {
    const ledger = new Ledger()
    super(cluster, ledger, places)
    this.cluster = cluster
    this.places = places
    this.#producer = new SteadyProducer(cluster, ledger, 'p', places, {})
  }

  /** @param seed - Names the world, too. */
  static async begin(seed: string, options: GroupWorldOptions = {}): Promise<GroupWorld> {
    const { partitions = 4, settings = {} } = options
    const cluster = await SimCluster.start({ seed, settings: { ...GROUP_SETTINGS, ...settings } })
    await cluster.createTopic('t', { partitions, replicationFactor: 3 })
    const places = Array.from({ length: partitions }, (_, partition) => ({ topic: 't', partition }))
    return new GroupWorld(cluster, places)
  }

  /** From brokers other than one, that one is as good as dead; its clients may still reach it. */
  isolate({ name }: Host): void {
    const others = this.cluster.hosts.filter((host) => host.name !== name).map((host) => host.name)
    this.cluster.simulation.network.partition([name], others)
  }

  /** Cuts a machine off from all brokers, both ways. */
  cutOff(name: string): void {
    const brokers = this.cluster.hosts.map((host) => host.name)
    this.cluster.simulation.network.partition([name], brokers)
  }

  /** Nothing more is written; then as `finish`. */
  async end(): Promise<void> {
    this.cluster.simulation.network.heal()
    this.#producer.stop()
    await this.cluster.untilWhole()
    await this.cluster.run(() => this.#producer.pendingCount === 0, LAST_OUTCOME_MS)
    await this.finish()
  }
}
