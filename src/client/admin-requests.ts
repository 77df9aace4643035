/**
 * How administration asks: who gets a request, and when it is sent again. A request is repeated only while it is sure that
 * nothing was done: the broker could not be reached, or answered that it is not the controller. Requests that only read are
 * also asked again, of another broker, when a connection breaks. Control plane.
 */
import { backoffMs } from '../base/backoff.ts'
import type { ApiName, RequestInputOf, ResponseOf } from '../protocol/apis.ts'
import { wasSentToWrongBroker } from './admin-answers.ts'
import type { AdminOptions } from './admin-types.ts'
import { askAnyBroker, firstOf } from './any-broker.ts'
import { abortable, pause } from './backoff.ts'
import type { BrokerLink, ReadyLink } from './broker-link.ts'
import { ClientError } from './client-error.ts'
import type { Cluster } from './cluster.ts'

/** Room that the request's time-out leaves the answer to come back after the cluster's own time is over, in ms. */
export const ANSWER_GRACE_MS = 5_000

/** Nothing was sent. */
const UNSENT: ReadonlySet<string> = new Set(['CLIENT_CANNOT_CONNECT'])
/** There was no answer; a request that only reads may go to another broker. */
const UNANSWERED: ReadonlySet<string> = new Set(['CLIENT_CANNOT_CONNECT', 'CLIENT_DISCONNECTED'])

export class AdminRequests {
  readonly cluster: Cluster

  constructor(cluster: Cluster) {
    this.cluster = cluster
  }

  /** Time for a call, in ms. */
  timeoutMs({ timeoutMs }: AdminOptions): number {
    return timeoutMs ?? this.cluster.config.requestTimeoutMs
  }

  /**
   * Sends what the controller decides to it (any broker forwards) until it is done, refused, or the time is over.
   *
   * @param bodyFor - The request, given the ms that are left for it, and the connection it goes to.
   */
  async change<A extends ApiName>(
    api: A,
    attempted: string,
    options: AdminOptions,
    bodyFor: (timeoutMs: number, ready: ReadyLink) => RequestInputOf<A>,
  ): Promise<ResponseOf<A>> {
    return this.#repeat(attempted, options, UNSENT, async (leftMs, hasFailed) => {
      const ready = await this.#present(hasFailed, options.signal)
      return ready.request(api, bodyFor(leftMs, ready), {
        signal: options.signal,
        timeoutMs: leftMs + ANSWER_GRACE_MS,
      })
    })
  }

  /**
   * Asks any broker for what it knows, or finds out from the controller; an answer that comes too late is not waited for.
   *
   * @param bodyFor - The request, given the ms that are left for it, and the connection it goes to.
   */
  async ask<A extends ApiName>(
    api: A,
    attempted: string,
    options: AdminOptions,
    bodyFor: (timeoutMs: number, ready: ReadyLink) => RequestInputOf<A>,
  ): Promise<ResponseOf<A>> {
    return this.#repeat(attempted, options, UNANSWERED, (leftMs) =>
      askAnyBroker(this.cluster, api, (ready) => bodyFor(leftMs, ready), {
        signal: options.signal,
        timeoutMs: leftMs,
      }),
    )
  }

  /** Makes topics known to the cluster, so that their leaders can be found. */
  async discover(items: readonly { readonly topic: string }[], options: AdminOptions): Promise<void> {
    const deadlineMs = this.cluster.ports.clock.monotonicMs() + this.timeoutMs(options)
    for (const name of new Set(items.map(({ topic }) => topic))) {
      await this.cluster.topic(name, { mayCreate: false, deadlineMs, signal: options.signal })
    }
  }

  /** The way to one broker. @throws {ClientError} `CLIENT_BAD_ARGUMENT` if no live broker has that id. */
  link(brokerId: number): BrokerLink {
    const link = this.cluster.findLink(brokerId, 'requests')
    if (link !== null) return link
    const known = [...this.cluster.nodes.keys()].join(', ')
    throw new ClientError(
      'CLIENT_BAD_ARGUMENT',
      `Cannot reach broker ${brokerId}: the cluster has brokers ${known}`,
    )
  }

  /** A broker that is there: the controller, if it is not silent and `isAnyone` does not say that it was tried. */
  async #present(isAnyone: boolean, signal: AbortSignal | undefined): Promise<ReadyLink> {
    const { cluster } = this
    const first = isAnyone ? [] : [await cluster.controllerLink(signal)]
    const links = new Set([...first, ...(await cluster.links(signal))])
    return firstOf(cluster, links, async (link) => {
      const ready = await link.unthrottled('Cannot reach a broker', signal)
      await ready.prove(signal)
      return ready
    })
  }

  async #repeat<T extends object>(
    attempted: string,
    options: AdminOptions,
    repeatedCodes: ReadonlySet<string>,
    send: (leftMs: number, hasFailed: boolean) => Promise<T>,
  ): Promise<T> {
    const { ports, config } = this.cluster
    // A cluster that never was there is told at once, after `bootstrapTimeoutMs`; only one that was is tried again.
    await this.cluster.connect(options.signal)
    const deadlineMs = ports.clock.monotonicMs() + this.timeoutMs(options)
    for (let attempt = 1, hasFailed = false; ; attempt++) {
      const leftMs = Math.max(1, Math.ceil(deadlineMs - ports.clock.monotonicMs()))
      try {
        const answer = await send(leftMs, hasFailed)
        if (!wasSentToWrongBroker(answer) || ports.clock.monotonicMs() >= deadlineMs) return answer
      } catch (error) {
        const isRepeated = error instanceof ClientError && repeatedCodes.has(error.code)
        if (!isRepeated || !error.retriable || ports.clock.monotonicMs() >= deadlineMs) throw error
        hasFailed = true
      }
      await pause(ports.clock, backoffMs(config.backoff, attempt, ports.random), attempted, options.signal)
      await abortable(this.cluster.refresh(), attempted, options.signal)
    }
  }
}
