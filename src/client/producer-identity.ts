/**
 * The identity of an idempotent producer: an id that the cluster hands out and an epoch that the producer raises itself
 * when a partition has to start over (KIP-360; without transactions no broker needs to be asked for that).
 *
 * Invariant: an (id, epoch) pair that `current` has left is never current again.
 */
import { backoffMs } from '../base/backoff.ts'
import { askAnyBroker } from './any-broker.ts'
import type { Cluster } from './cluster.ts'
import { pause } from './backoff.ts'
import { brokerError, ClientError } from './client-error.ts'
import type { ProducerIdentity } from './producer-batch.ts'

/** Epochs are int16; past the last one a new id is needed. */
const EPOCH_MAX = 0x7fff
/** Only transactions have a time-out; the field is there all the same. */
const NO_TRANSACTION_TIMEOUT_MS = 0x7fff_ffff

export class IdentitySource {
  readonly #cluster: Cluster
  #current: ProducerIdentity | null = null
  #acquiring: Promise<void> | null = null
  readonly #closing = new AbortController()

  constructor(cluster: Cluster) {
    this.#cluster = cluster
  }

  /** Null until `acquire` resolved. */
  get current(): ProducerIdentity | null {
    return this.#current
  }

  /**
   * An identity under which a partition that used `identity` may start over at sequence 0; null when it must be
   * acquired first.
   */
  after(identity: ProducerIdentity | null): ProducerIdentity | null {
    const current = this.#current
    if (current === null || identity === null || current !== identity) return current
    const { producerId, producerEpoch } = identity
    this.#current = producerEpoch < EPOCH_MAX ? { producerId, producerEpoch: producerEpoch + 1 } : null
    return this.#current
  }

  /** Gives the id up if it is still in use: a broker has seen a later epoch of it. */
  abandon(identity: ProducerIdentity | null): void {
    if (identity !== null && this.#current?.producerId === identity.producerId) this.#current = null
  }

  /**
   * Asks the cluster for an id, as often as it takes.
   *
   * @throws {ClientError} What is final: `CLIENT_UNSUPPORTED_BY_BROKER`, `CLIENT_CLOSED`, authorization, a cluster that
   *   was never reached.
   */
  acquire(): Promise<void> {
    this.#acquiring ??= this.#acquire().finally(() => (this.#acquiring = null))
    return this.#acquiring
  }

  /** Stops asking; `acquire` fails with `CLIENT_ABORTED`. */
  close(): void {
    this.#closing.abort()
  }

  async #acquire(): Promise<void> {
    const { ports, config } = this.#cluster
    const { signal } = this.#closing
    const attempted = 'Cannot get a producer id'
    for (let attempt = 1; this.#current === null; attempt++) {
      try {
        const body = { transactionalId: null, transactionTimeoutMs: NO_TRANSACTION_TIMEOUT_MS }
        // Two may answer: an id that nobody uses costs nothing.
        const answer = await askAnyBroker(this.#cluster, 'InitProducerId', () => body, { signal })
        if (answer.errorCode !== 0) throw brokerError(attempted, answer.errorCode)
        this.#current = { producerId: answer.producerId, producerEpoch: answer.producerEpoch }
        return
      } catch (error) {
        const canRetry = error instanceof ClientError && error.retriable && this.#cluster.nodes.size > 0
        if (!canRetry) throw error
      }
      await pause(ports.clock, backoffMs(config.backoff, attempt, ports.random), attempted, signal)
      this.#cluster.refreshSoon()
    }
  }
}
