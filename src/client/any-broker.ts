/**
 * Questions that any broker answers, asked of one after the other: the next one as soon as one failed or has been silent for a
 * while. So a broker that hangs costs that while, not the time-out.
 */
import type { ApiName, RequestInputOf, ResponseOf } from '../protocol/apis.ts'
import type { BrokerLink, ReadyLink, RequestOptions } from './broker-link.ts'
import { ClientError } from './client-error.ts'
import { HEDGE_PATIENCE_MS } from './client-options.ts'
import type { Cluster } from './cluster.ts'
import { hedged } from './hedge.ts'

/**
 * @param bodyFor - The question, given the connection that it goes to. It may be answered by several: it changes nothing, or
 *   nothing that matters when it is done twice.
 * @throws {ClientError} When every broker failed: what is final if there is such a failure, else the first.
 */
export async function askAnyBroker<A extends ApiName>(
  cluster: Cluster,
  api: A,
  bodyFor: (ready: ReadyLink) => RequestInputOf<A>,
  options: RequestOptions,
): Promise<ResponseOf<A>> {
  const { signal } = options
  return firstOf(cluster, await cluster.links(signal), async (link) => {
    const ready = await link.unthrottled(`Cannot send ${api}`, signal)
    return ready.request(api, bodyFor(ready), options)
  })
}

/** What the first of several brokers gave. @throws {ClientError} As `askAnyBroker`. */
export async function firstOf<T>(
  cluster: Cluster,
  links: Iterable<BrokerLink>,
  attempt: (link: BrokerLink) => Promise<T>,
): Promise<T> {
  const attempts = Array.from(links, (link) => () => attempt(link))
  const outcome = await hedged(cluster.ports.clock, attempts, HEDGE_PATIENCE_MS)
  if (outcome.kind === 'answered') return outcome.value
  throw (
    outcome.errors.find((error) => !(error instanceof ClientError && error.retriable)) ?? outcome.errors[0]!
  )
}
