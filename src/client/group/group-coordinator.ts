/**
 * The way to the broker that coordinates a group: found when it is needed, forgotten when it turns out to be another one, which
 * every answer and every broken connection may show.
 *
 * Nothing is sent twice here: whether a request may be repeated depends on what it does.
 */
import { backoffMs } from '../../base/backoff.ts'
import type { ApiName, RequestInputOf, ResponseOf } from '../../protocol/apis.ts'
import { errorByCode, errorCode } from '../../protocol/errors.ts'
import { askAnyBroker } from '../any-broker.ts'
import { abortable, pause } from '../backoff.ts'
import type { ReadyLink, RequestOptions } from '../broker-link.ts'
import { brokerError, ClientError } from '../client-error.ts'
import type { Cluster } from '../cluster.ts'

/** Key type of FindCoordinator. */
const GROUP_KEY = 0
/** The first version of FindCoordinator that takes several keys, and only that form. */
const KEYS_SINCE_VERSION = 4

/** The group is, or may be, coordinated by another broker than the one that was asked. */
const ELSEWHERE: ReadonlySet<number> = new Set(
  (['NOT_COORDINATOR', 'COORDINATOR_NOT_AVAILABLE'] as const).map(errorCode),
)
const LOADING = errorCode('COORDINATOR_LOAD_IN_PROGRESS')

export class GroupCoordinator {
  readonly groupId: string
  readonly #cluster: Cluster
  #nodeId: number | null = null
  #finding: Promise<number> | null = null

  constructor(cluster: Cluster, groupId: string) {
    this.#cluster = cluster
    this.groupId = groupId
  }

  get cluster(): Cluster {
    return this.#cluster
  }

  /** The broker that coordinates the group, by the last answer; null while it is not known. */
  get nodeId(): number | null {
    return this.#nodeId
  }

  /**
   * Sends a request to the coordinator, which is looked for first if need be.
   *
   * @param bodyFor - The request, given the connection it goes to.
   * @throws {ClientError} As `BrokerLink.request`, and the protocol's errors of the search; the coordinator is forgotten then.
   */
  async request<A extends ApiName>(
    api: A,
    bodyFor: (ready: ReadyLink) => RequestInputOf<A>,
    options: RequestOptions,
  ): Promise<ResponseOf<A>> {
    const nodeId = this.#nodeId ?? (await this.#find(api, options.signal))
    try {
      const link = this.#cluster.findLink(nodeId, 'requests')
      if (link === null) {
        const message = `Cannot send ${api}: the cluster does not name broker ${nodeId}, which coordinates group '${this.groupId}'`
        throw new ClientError('CLIENT_CANNOT_CONNECT', message, { retriable: true })
      }
      const ready = await link.unthrottled(`Cannot send ${api}`, options.signal)
      return await ready.request(api, bodyFor(ready), options)
    } catch (error) {
      this.#forget(nodeId)
      throw error
    }
  }

  /** Whether an error is the coordinator's own state and passes; looks for another one next time if it may be elsewhere. */
  isPassing(code: number): boolean {
    if (ELSEWHERE.has(code)) this.#nodeId = null
    return ELSEWHERE.has(code) || code === LOADING
  }

  /**
   * Runs `attempt` until it returns something else than null, or the time is over.
   *
   * @param attempt - Null, or a retriable error thrown: again after a pause.
   * @throws {ClientError} `CLIENT_TIMED_OUT`, `CLIENT_ABORTED`, and what `attempt` throws that will not pass.
   */
  async retried<T>(
    attempted: string,
    { deadlineMs, signal }: { deadlineMs: number; signal?: AbortSignal | undefined },
    attempt: (timeoutMs: number) => Promise<T | null>,
  ): Promise<T> {
    const { clock, random } = this.#cluster.ports
    let last: ClientError | null = null
    for (let count = 1; ; count++) {
      const leftMs = deadlineMs - clock.monotonicMs()
      if (leftMs <= 0) throw new ClientError('CLIENT_TIMED_OUT', `${attempted}: ${last?.message ?? 'no answer in time'}`, { retriable: true, ...(last === null ? {} : { cause: last }) }) // prettier-ignore
      try {
        const result = await attempt(Math.min(leftMs, this.#cluster.config.requestTimeoutMs))
        if (result !== null) return result
      } catch (error) {
        if (!(error instanceof ClientError) || !error.retriable) throw error
        last = error
      }
      const delayMs = backoffMs(this.#cluster.config.backoff, count, random)
      await pause(clock, Math.min(delayMs, Math.max(1, leftMs)), attempted, signal)
    }
  }

  #forget(nodeId: number): void {
    if (this.#nodeId === nodeId) this.#nodeId = null
  }

  /** All who look for it wait for the same answer; that one of them gives up is nothing to the others. */
  #find(api: ApiName, signal: AbortSignal | undefined): Promise<number> {
    this.#finding ??= this.#ask().finally(() => (this.#finding = null))
    return abortable(this.#finding, `Cannot send ${api}`, signal)
  }

  async #ask(): Promise<number> {
    const { groupId } = this
    const attempted = `Cannot find the coordinator of group '${groupId}'`
    const answer = await askAnyBroker(
      this.#cluster,
      'FindCoordinator',
      (ready) =>
        ready.version('FindCoordinator') >= KEYS_SINCE_VERSION
          ? { keyType: GROUP_KEY, coordinatorKeys: [groupId] }
          : { keyType: GROUP_KEY, key: groupId },
      {},
    )
    const found = answer.coordinators[0] ?? answer
    if (found.errorCode !== 0) throw brokerError(attempted, found.errorCode, found.errorMessage)
    // Its address comes with metadata, which knows the way for this kind of connection.
    if (!this.#cluster.nodes.has(found.nodeId)) await this.#cluster.refresh()
    this.#nodeId = found.nodeId
    return found.nodeId
  }
}

/** Whether the same request, sent again as it is, may be answered otherwise. */
export function isRetriable(code: number): boolean {
  return errorByCode(code).retriable
}
