/**
 * What partitions need and could not have at once, tried again until they have it: logs that the disk had no room to open
 * (docs/faults.md ST-8, ST-9), new leader epochs for those that undid what a follower may have read, and others in the place of
 * replicas whose logs cannot be used.
 *
 * Control plane. A try that fails is tried again; what cannot fail unless by a defect goes to `onDefect`.
 */
import type { ResignReplicas } from '../controller/failed-replicas.ts'
import type { RenewLeaderEpochs } from '../controller/leader-epochs.ts'
import type { Cancel, Clock, Logger } from '../env/index.ts'
import type { MetadataFollower } from './metadata-follower.ts'
import type { PartitionRegistry } from './partition-registry.ts'

/** Between two tries, in ms: an operator who made room sees the broker whole again within seconds. */
const RETRY_MS = 5000

/** Partitions in one request to the controller: its batch is bounded. The rest comes with the next try. */
const ASKED_COUNT_MAX = 1000

export interface PartitionUpkeepPorts {
  readonly clock: Clock
  readonly logger: Logger
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
  #cancel: Cancel = () => undefined
  #isRenewing = false
  #isResigning = false
  /** More has failed since the controller was asked. */
  #hasNewFailures = false
  #isStopped = false

  constructor(ports: PartitionUpkeepPorts) {
    this.#ports = ports
  }

  /** Begins the tries. Once. */
  start(): void {
    if (this.#isStopped) return
    this.#cancel = this.#ports.clock.after(RETRY_MS, () => {
      this.#tryAll().then(
        () => this.start(),
        (error: unknown) => this.#ports.onDefect(error as Error),
      )
    })
  }

  /** Nothing is tried any more; a try under way ends by itself. */
  stop(): void {
    this.#isStopped = true
    this.#cancel()
  }

  /** A partition takes no appends until it has a new leader epoch: asks for one now. */
  epochSpent(): void {
    this.#renewEpochs().catch((error: unknown) => this.#ports.onDefect(error as Error))
  }

  /** A replica here cannot be used: tells so now. */
  replicaFailed(): void {
    this.#hasNewFailures = true
    this.#resign().catch((error: unknown) => this.#ports.onDefect(error as Error))
  }

  async #tryAll(): Promise<void> {
    const { follower, partitions } = this.#ports
    await follower.between((image) => partitions.reopen(image))
    await this.#renewEpochs()
    await this.#resign()
  }

  async #renewEpochs(): Promise<void> {
    if (this.#isRenewing || this.#isStopped) return
    const spent = [...this.#ports.partitions.withSpentEpochs()].slice(0, ASKED_COUNT_MAX)
    if (spent.length === 0) return
    this.#isRenewing = true
    try {
      const error = await this.#ports.renewLeaderEpochs(
        spent.map(({ topicId, index, leaderEpoch }) => ({ topicId, partitionId: index, leaderEpoch })),
      )
      if (error === 'NONE') return
      const fields = { count: spent.length, error, againInMs: RETRY_MS }
      this.#ports.logger.warn(
        'Asked for new leader epochs: refused, their partitions take no records',
        fields,
      )
    } finally {
      this.#isRenewing = false
    }
  }

  async #resign(): Promise<void> {
    if (this.#isResigning || this.#isStopped) return
    this.#isResigning = true
    try {
      do {
        this.#hasNewFailures = false
        const failed = [...this.#ports.partitions.failed()]
        for (let start = 0; start < failed.length; start += ASKED_COUNT_MAX) {
          const some = failed.slice(start, start + ASKED_COUNT_MAX)
          const error = await this.#ports.resignReplicas(some)
          if (error === 'NONE') continue
          const fields = { count: some.length, error, againInMs: RETRY_MS }
          this.#ports.logger.warn(
            'Gave up replicas that cannot be used: the controller did not hear of it',
            fields,
          )
        }
      } while (this.#mustGoOn())
    } finally {
      this.#isResigning = false
    }
  }

  /** Read anew after each wait: failures may have come, or the end. */
  #mustGoOn(): boolean {
    return this.#hasNewFailures && !this.#isStopped
  }
}
