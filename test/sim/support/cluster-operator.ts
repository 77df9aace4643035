/**
 * Somebody who administers a cluster under faults: creates topics of ever new names and deletes some of them again, one command
 * after the other, and writes down what each answer promised (docs/faults.md M11, R13).
 *
 * The names are new and nobody else uses them. So an answer that one is taken, or is not there, tells that a command was carried
 * out twice, or that what was acknowledged was undone.
 */
import { ClientError } from '../../../src/client/client-error.ts'
import type { Client } from '../../../src/client/client.ts'
import type { Prng } from '../../../src/env/sim/prng.ts'
import type { SimCluster } from './sim-cluster.ts'

/** Between two commands, in virtual ms. */
const PAUSE_MS = [100, 2000] as const

type State = 'created' | 'deleted' | 'unknown'

export class SteadyOperator {
  /** What must not happen, in words. */
  readonly faults: string[] = []
  readonly counts = { created: 0, deleted: 0, unknown: 0 }
  readonly #cluster: SimCluster
  readonly #random: Prng
  readonly #client: Client
  /** What is known of each topic that was asked for. */
  readonly #topics = new Map<string, State>()
  #isStopped = false
  /** A command is under way. */
  isBusy = false

  constructor(cluster: SimCluster) {
    this.#cluster = cluster
    this.#random = cluster.simulation.stream('operator')
    this.#client = cluster.client('operator')
    this.#later()
  }

  stop(): void {
    this.#isStopped = true
  }

  close(): Promise<void> {
    return this.#client.close()
  }

  /** M11: at rest the metadata are what was acknowledged. */
  check(): void {
    const { topicsByName } = this.#cluster.image
    for (const [name, state] of this.#topics) {
      const isThere = topicsByName.has(name)
      if (state !== 'unknown' && isThere !== (state === 'created'))
        this.faults.push(
          `M11: topic ${name} was acknowledged as ${state}, and is ${isThere ? 'there' : 'gone'}`,
        )
    }
    if (this.faults.length > 0) throw new Error(this.faults.join('\n'))
  }

  #later(): void {
    this.#cluster.simulation.schedule(this.#random.between(...PAUSE_MS), 'operator', () => {
      if (this.#isStopped) return
      this.isBusy = true
      void this.#act().finally(() => {
        this.isBusy = false
        this.#later()
      })
    })
  }

  async #act(): Promise<void> {
    const created = [...this.#topics].flatMap(([name, state]) => (state === 'created' ? [name] : []))
    const isCreation = created.length === 0 || this.#random.chance(0.6)
    const name = isCreation ? `operated-${this.#topics.size}` : created[this.#random.below(created.length)]!
    const admin = this.#client.admin()
    const timeoutMs = 200 + this.#random.below(3000)
    this.#topics.set(name, 'unknown')
    try {
      if (isCreation) await admin.createTopics([{ name, partitions: 1 }], { timeoutMs })
      else await admin.deleteTopics([name], { timeoutMs })
      this.#topics.set(name, isCreation ? 'created' : 'deleted')
      this.counts[isCreation ? 'created' : 'deleted']++
    } catch (error) {
      if (!(error instanceof ClientError)) throw error
      this.counts.unknown++
      const { code } = error
      const what = isCreation ? 'Creating' : 'Deleting'
      this.#cluster.simulation.env('operator').logger.debug(`${what} a topic failed`, { name, error })
      if (code === 'TOPIC_ALREADY_EXISTS') this.faults.push(`M11: creating ${name} was carried out twice`)
      if (code === 'UNKNOWN_TOPIC_OR_PARTITION' && !isCreation)
        this.faults.push(`M11: deleting ${name} was carried out twice, or its creation undone`)
    }
  }
}
