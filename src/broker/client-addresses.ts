/**
 * Under which address a client is told of a broker: that of the listener it came by, or, over WebSocket, the one address that
 * all brokers share (`websocket.advertised.address`), behind which any of them may answer (request-forwarding.ts).
 *
 * The one place that decides it, so that Metadata, DescribeCluster and the hints of other answers never disagree.
 */
import type { BrokerImage } from '../metadata/cluster-image.ts'
import type { BrokerConfig } from './broker-config.ts'
import type { RequestContext } from './services.ts'

export interface ClientAddress {
  readonly host: string
  readonly port: number
}

/** What of a request decides about addresses in its answer. */
export type Asker = Pick<RequestContext, 'listenerName' | 'transport'>

/** @returns Null when the broker has no listener of the name by which the client came: it cannot be shown to it. */
export function findClientAddress(
  config: Pick<BrokerConfig, 'webSocketAddress'>,
  { listenerName, transport }: Asker,
  broker: BrokerImage,
): ClientAddress | null {
  const listener = broker.listeners.find(({ name }) => name === listenerName)
  if (listener === undefined) return null
  const shared = transport === 'websocket' ? config.webSocketAddress : null
  return shared ?? { host: listener.host, port: listener.port }
}

/** How the protocol shows others where a client is: as Java prints an address. @param remote - `host:port`, or a name. */
export function clientHostOf(remote: string): string {
  return `/${remote.replace(/:\d+$/, '').replace(/^\[|\]$/g, '')}`
}

const ADDRESS = /^(\[[0-9a-fA-F:.]+\]|[^[\]:/=\s,]{1,253}):(\d{1,5})$/
const PORT_MAX = 65_535

/** @returns The address, null for an empty text, undefined when `text` is none. */
export function parseClientAddress(text: string): ClientAddress | null | undefined {
  if (text === '') return null
  const [, host, digits] = ADDRESS.exec(text) ?? []
  const port = Number(digits)
  if (host === undefined || port < 1 || port > PORT_MAX) return undefined
  return { host: host.replace(/^\[|\]$/g, ''), port }
}
