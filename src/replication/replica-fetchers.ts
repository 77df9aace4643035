/**
 * What this broker follows, by the broker that leads it: one fetcher for each leader. Control plane.
 *
 * Invariant: a partition is fetched from one leader at most, in the leader epoch of the image that is in effect.
 */
import { CatchUpThrottle } from './catch-up-throttle.ts'
import type { Partition } from './partition.ts'
import { ReplicaFetcher } from './replica-fetcher.ts'
import type { FetchLink, ReplicaFetcherPorts } from './replica-fetcher.ts'

export interface ReplicaFetchersOptions {
  readonly nodeId: number
  /** Of this broker's registration. */
  readonly brokerEpoch: () => number
  /** The way to a leader. Asked once for each; dials when it is used, again and again. */
  readonly linkTo: (leaderId: number) => FetchLink
  /** What followers that are out of sync may fetch in all, in bytes a second; Infinity for no bound. */
  readonly catchUpBytesPerSecond: number
}

export class ReplicaFetchers {
  readonly #ports: ReplicaFetcherPorts
  readonly #options: ReplicaFetchersOptions
  readonly #throttle: CatchUpThrottle
  readonly #fetchers = new Map<number, ReplicaFetcher>()
  readonly #leaders = new Map<Partition, number>()
  #isClosed = false

  constructor(ports: ReplicaFetcherPorts, options: ReplicaFetchersOptions) {
    this.#ports = ports
    this.#options = options
    this.#throttle = new CatchUpThrottle(ports.clock, options.catchUpBytesPerSecond)
  }

  /** Fetches `partition`, which follows, from `leaderId`; again for a new leader epoch. After `close`: does nothing. */
  assign(partition: Partition, leaderId: number): void {
    // What metadata under way still brings while the broker stops.
    if (this.#isClosed) return
    const before = this.#leaders.get(partition)
    if (before !== undefined && before !== leaderId) this.remove(partition)
    this.#leaders.set(partition, leaderId)
    this.#fetcherOf(leaderId).add(partition)
  }

  /** Stops to fetch it. Harmless if it was not fetched. */
  remove(partition: Partition): void {
    const leaderId = this.#leaders.get(partition)
    if (leaderId === undefined) return
    this.#leaders.delete(partition)
    this.#fetchers.get(leaderId)!.remove(partition)
  }

  close(): void {
    this.#isClosed = true
    for (const fetcher of this.#fetchers.values()) fetcher.close()
    this.#fetchers.clear()
    this.#leaders.clear()
    this.#throttle.close()
  }

  #fetcherOf(leaderId: number): ReplicaFetcher {
    let fetcher = this.#fetchers.get(leaderId)
    if (fetcher === undefined) {
      const { nodeId, brokerEpoch, linkTo } = this.#options
      const options = { nodeId, brokerEpoch, link: linkTo(leaderId), throttle: this.#throttle }
      this.#fetchers.set(leaderId, (fetcher = new ReplicaFetcher(this.#ports, options)))
    }
    return fetcher
  }
}
