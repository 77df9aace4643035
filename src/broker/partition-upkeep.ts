/**
 * What partitions need and could not have at once, tried again until they have it: logs that the disk had no room to open
 * (docs/faults.md ST-8, ST-9), new leader epochs for those that undid what a follower may have read, and others in the place of
 * replicas whose logs cannot be used.
 *
 * Control plane. A try that fails is tried again; what cannot fail unless by a defect goes to `onDefect`.
 */
import type { ResignReplicas } from '../controller/failed-replicas.ts'
import type { RenewLeaderEpochs } from '../controller/leader-epochs.ts'
import type { Cancel, Env } from '../env/index.ts'
import { InsistentCall } from './insistent-call.ts'
import type { MetadataFollower } from './metadata-follower.ts'
import type { PartitionRegistry } from './partition-registry.ts'

/** Between two looks, in ms: an operator who made room sees the broker whole again within seconds. */
const LOOK_MS = 5000

/** Between two calls of the controller that are refused: its disk is full, or nobody leads the quorum. */
const PAUSE = { initialMs: 100, maxMs: LOOK_MS }

/** Partitions in one request to the controller: its batch is bounded. The rest comes with the next look. */
const ASKED_COUNT_MAX = 1000

export interface PartitionUpkeepPorts extends Pick<Env, 'clock' | 'random' | 'logger'> {
  readonly partitions: PartitionRegistry
  readonly follower: MetadataFollower
  /** Asks the controller for new leader epochs; resolves with its error, `NONE` if they are committed. */
  readonly renewLeaderEpochs: (partitions: RenewLeaderEpochs['partitions']) => Promise<string>
  /** Tells the controller to count on others in the place of these; resolves with its error. */
  readonly resignReplicas: (partitions: ResignReplicas['partitions']) => Promise<string>
  readonly onDefect: (error: Error) => void
}

export class PartitionUpkeep {
  readonly #ports: PartitionUpkeepPorts
  readonly #renewal: InsistentCall
  readonly #resignation: InsistentCall
  #cancel: Cancel = () => undefined
  #isStopped = false

  constructor(ports: PartitionUpkeepPorts) {
    this.#ports = ports
    const insist = (problem: string, call: () => Promise<string | null>): InsistentCall =>
      new InsistentCall(ports, {
        ...{ pause: PAUSE, call, onDefect: ports.onDefect },
        onRefused: (error, againInMs) => ports.logger.warn(problem, { error, againInMs }),
      })
    this.#renewal = insist('Asked for new leader epochs: refused, their partitions take no records', () =>
      this.#renewEpochs(),
    )
    this.#resignation = insist(
      'Gave up replicas that cannot be used: the controller did not hear of it',
      () => this.#resign(),
    )
  }

  /** Begins to look. Once. */
  start(): void {
    if (this.#isStopped) return
    this.#cancel = this.#ports.clock.after(LOOK_MS, () => {
      this.#look().then(
        () => this.start(),
        (error: unknown) => this.#ports.onDefect(error as Error),
      )
    })
  }

  /** Nothing is tried any more; a try under way ends by itself. */
  stop(): void {
    this.#isStopped = true
    this.#cancel()
    this.#renewal.stop()
    this.#resignation.stop()
  }

  /** A partition takes no appends until it has a new leader epoch: asks for one now. */
  epochSpent(): void {
    this.#renewal.now()
  }

  /** A replica here cannot be used: tells so now. */
  replicaFailed(): void {
    this.#resignation.now()
  }

  async #look(): Promise<void> {
    const { follower, partitions } = this.#ports
    await follower.between((image) => partitions.reopen(image))
    this.#renewal.now()
    this.#resignation.now()
  }

  async #renewEpochs(): Promise<string | null> {
    const spent = [...this.#ports.partitions.withSpentEpochs()].slice(0, ASKED_COUNT_MAX)
    if (spent.length === 0) return null
    const error = await this.#ports.renewLeaderEpochs(
      spent.map(({ topicId, index, leaderEpoch }) => ({ topicId, partitionId: index, leaderEpoch })),
    )
    return error === 'NONE' ? null : error
  }

  async #resign(): Promise<string | null> {
    const failed = [...this.#ports.partitions.failed()]
    for (let start = 0; start < failed.length; start += ASKED_COUNT_MAX) {
      const error = await this.#ports.resignReplicas(failed.slice(start, start + ASKED_COUNT_MAX))
      if (error !== 'NONE') return error
    }
    return null
  }
}
