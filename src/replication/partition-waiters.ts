/**
 * Everybody who waits for something to happen to a partition: requests for their acknowledgement, followers for records,
 * consumers for what is committed. Followers are served before consumers.
 *
 * Data plane: nothing is allocated when nobody waits.
 */
import type { Clock } from '../env/index.ts'
import type { ReplicaWatcher } from './partition-events.ts'
import { WaitingAcks } from './waiting-acks.ts'
import type { AckFailure } from './waiting-acks.ts'

export class PartitionWaiters {
  /** For an offset to be durable here (acks=1), to be committed (acks=all), to be deleted at all who are in sync. */
  readonly durable: WaitingAcks
  readonly commit: WaitingAcks
  readonly deletion: WaitingAcks
  /** Waiting fetches. Called, in order of arrival, when the high watermark moved or the role changed. */
  readonly #consumers = new Set<() => void>()
  /** Copied when it changes, so that whoever is called may come and go. */
  #replicas: readonly ReplicaWatcher[] = []

  constructor(clock: Clock) {
    this.durable = new WaitingAcks(clock)
    this.commit = new WaitingAcks(clock)
    this.deletion = new WaitingAcks(clock)
  }

  /** Batches appended whose acknowledgement is still due. */
  get batchCount(): number {
    return this.durable.count + this.commit.count
  }

  addConsumer(watcher: () => void): void {
    this.#consumers.add(watcher)
  }

  removeConsumer(watcher: () => void): void {
    this.#consumers.delete(watcher)
  }

  addReplica(watcher: ReplicaWatcher): void {
    this.#replicas = [...this.#replicas, watcher]
  }

  removeReplica(watcher: ReplicaWatcher): void {
    this.#replicas = this.#replicas.filter((each) => each !== watcher)
  }

  appended(): void {
    for (const watcher of this.#replicas) watcher.appended()
  }

  /** Everything below `highWatermark` is committed. */
  committed(highWatermark: number): void {
    this.commit.reached(highWatermark)
    this.marksMoved()
    this.wakeConsumers()
  }

  marksMoved(): void {
    for (const watcher of this.#replicas) watcher.moved()
  }

  /** Followers must begin anew; none is watched any more. */
  dismissReplicas(): void {
    const replicas = this.#replicas
    this.#replicas = []
    for (const watcher of replicas) watcher.ended()
  }

  wakeConsumers(): void {
    if (this.#consumers.size === 0) return
    for (const watcher of [...this.#consumers]) watcher()
  }

  /** What lay above `startOffset` is gone. */
  failFrom(startOffset: number, failure: AckFailure): void {
    this.durable.failFrom(startOffset, failure)
    this.commit.failFrom(startOffset, failure)
  }

  failAll(failure: AckFailure): void {
    this.durable.failAll(failure)
    this.commit.failAll(failure)
    this.deletion.failAll(failure)
  }
}
