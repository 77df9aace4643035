/**
 * Addresses: what the application gives as bootstrap list, and what brokers announce of themselves in Metadata.
 *
 *   bootstrap := address [',' address] …
 *   address   := host [':' port] | 'tcp://' host ':' port | ('ws' | 'wss') '://' host [':' port] [path] | 'in-process://' name
 *
 * A broker announces host and port only; the transport and, for WebSocket, the path are those of the bootstrap address.
 */
import { ClientError } from './client-error.ts'

/** Kafka's port, for an address without one. */
const DEFAULT_PORT = 9092

export interface Address {
  /** As `Network.connect` takes it. */
  readonly url: string
  /** For messages: as the application wrote it, or as the broker announced it. */
  readonly label: string
}

const FORM = /^(?:(tcp|wss?|in-process):\/\/)?(\[[^\]]+\]|[^/:[\]\s]+)(?::(\d{1,5}))?(\/\S*)?$/

/**
 * Reads a bootstrap list.
 *
 * @throws {ClientError} `CLIENT_BAD_ARGUMENT`.
 */
export function parseBootstrap(bootstrap: string | readonly string[]): readonly Address[] {
  const texts = typeof bootstrap === 'string' ? bootstrap.split(',') : bootstrap
  const addresses = texts.map((text) => parseAddress(text.trim()))
  if (addresses.length === 0) throw bad('the list is empty, wanted at least one host:port')
  return addresses
}

/** The address of a broker that Metadata names, reached the way `bootstrap` was. */
export function brokerAddress(bootstrap: Address, host: string, port: number): Address {
  const [, scheme = 'tcp', , , path = ''] = FORM.exec(bootstrap.url)!
  if (scheme === 'in-process') return { url: `in-process://${host}`, label: `in-process://${host}` }
  const authority = `${host.includes(':') && !host.startsWith('[') ? `[${host}]` : host}:${port}`
  return { url: `${scheme}://${authority}${path}`, label: authority }
}

function parseAddress(text: string): Address {
  const match = FORM.exec(text)
  if (match === null)
    throw bad(`'${text}' is no address, wanted host:port, ws://host:port or in-process://name`)
  const [, scheme = 'tcp', host, port, path = ''] = match
  if (port !== undefined && (Number(port) < 1 || Number(port) > 65_535)) {
    throw bad(`'${text}' has port ${port}, wanted 1 to 65535`)
  }
  switch (scheme) {
    case 'in-process':
      return { url: `in-process://${host}`, label: text }
    case 'tcp':
      if (path !== '') throw bad(`'${text}' has a path, wanted host:port`)
      return { url: `tcp://${host}:${port ?? DEFAULT_PORT}`, label: `${host}:${port ?? DEFAULT_PORT}` }
    default:
      return { url: `${scheme}://${host}${port === undefined ? '' : `:${port}`}${path}`, label: text }
  }
}

function bad(what: string): ClientError {
  return new ClientError('CLIENT_BAD_ARGUMENT', `Cannot read the bootstrap list: ${what}`)
}
