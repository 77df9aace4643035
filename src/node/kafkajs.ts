/**
 * kafkajs over WebSocket: the `socketFactory` that kafkajs takes, for brokers' WebSocket listeners. kafkajs itself is
 * unchanged and no dependency: what it hands to a socket factory is declared here, in the shape of its own types.
 */
import { RESPONSE_BYTES_MAX } from '../client/client-options.ts'
import { openWebSocketStream } from '../env/node/websocket-stream.ts'

/** What kafkajs asks a socket for: its `ISocketFactoryArgs`. */
export interface KafkajsSocketRequest {
  /** As the broker names itself, or as `brokers` of kafkajs does for the first contact. */
  readonly host: string
  readonly port: number
  /** What `ssl` of kafkajs became; refused here. */
  readonly ssl: unknown
  readonly onConnect: () => void
}

export interface WebSocketSocketFactoryOptions {
  /**
   * Where to connect for a broker that kafkajs knows as `host:port`: one URL behind which any broker answers for every
   * other, or a function that gives each its own. Default: `ws://host:port`. TLS is a `wss://` URL, and kafkajs's `ssl`
   * stays unset.
   */
  readonly url?: string | ((broker: { readonly host: string; readonly port: number }) => string)
}

/**
 * Makes a `socketFactory` for `new Kafka({ brokers, socketFactory: webSocketSocketFactory() })`.
 *
 * Brokers must name addresses of their own, also behind one URL: kafkajs takes those with one address for one broker
 * (docs/operations.md).
 *
 * @throws {TypeError} When `url` is text and no `ws://` or `wss://` URL. The factory itself throws, which kafkajs reports as
 *   `Failed to connect: …`, when kafkajs was given `ssl` or when a function gave no such URL.
 */
export function webSocketSocketFactory(options: WebSocketSocketFactoryOptions = {}) {
  const { url = ownUrl } = options
  if (typeof url === 'string') checkUrl(url)
  return ({ host, port, ssl, onConnect }: KafkajsSocketRequest) => {
    if (ssl !== null && ssl !== undefined && ssl !== false) {
      throw new TypeError(
        'Opened a WebSocket for kafkajs: its ssl option is for TCP, wanted a wss:// URL from webSocketSocketFactory({ url })',
      )
    }
    const target = typeof url === 'string' ? url : checkUrl(url({ host, port }))
    return openWebSocketStream(target, { messageBytesMax: RESPONSE_BYTES_MAX, onConnect })
  }
}

function ownUrl({ host, port }: { readonly host: string; readonly port: number }): string {
  return `ws://${host.includes(':') ? `[${host}]` : host}:${port}`
}

function checkUrl(url: string): string {
  let protocol = ''
  try {
    protocol = new URL(url).protocol
  } catch {
    // No URL at all, which is told as any other.
  }
  if (protocol === 'ws:' || protocol === 'wss:') return url
  throw new TypeError(
    `Opened a WebSocket for kafkajs: the URL is ${JSON.stringify(url)}, wanted ws:// or wss://`,
  )
}
