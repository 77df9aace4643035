/**
 * The text form of a listener, in the `listeners` and `advertised.listeners` settings:
 *
 *   spec      := [ name '=' ] protocol '://' host ':' port
 *   protocol  := 'any'      Kafka over TCP, WebSocket and HTTP on one port; the first byte decides
 *              | 'kafka'    Kafka over TCP only
 *              | 'http'     WebSocket and HTTP only
 *   host      := name or address; an IPv6 address stands in brackets
 *
 * The name ties an advertised address to its listener; without one the protocol is the name.
 */

import type { PortProtocol } from '../env/index.ts'

export interface ListenerSpec {
  readonly name: string
  readonly protocol: ListenerProtocol
  readonly host: string
  /** 0 takes any free port. */
  readonly port: number
}

export type ListenerProtocol = 'any' | 'kafka' | 'http'

/** What each protocol lets a port speak. */
export const portProtocols: Readonly<Record<ListenerProtocol, readonly PortProtocol[]>> = {
  any: ['kafka', 'websocket', 'http'],
  kafka: ['kafka'],
  http: ['websocket', 'http'],
}

const SPEC =
  /^(?:([A-Za-z0-9._-]{1,64})=)?(any|kafka|http):\/\/(\[[0-9a-fA-F:.]+\]|[^[\]:/=]{1,253}):(\d{1,5})$/
const PORT_MAX = 65_535

/** @returns The listener, or undefined when `text` is none. */
export function parseListenerSpec(text: string): ListenerSpec | undefined {
  const [, name, protocol, host, digits] = SPEC.exec(text.trim()) ?? []
  const port = Number(digits)
  if (protocol === undefined || host === undefined || port > PORT_MAX) return undefined
  return { name: name ?? protocol, protocol: protocol as ListenerProtocol, host: unbracketed(host), port }
}

/** @returns The listeners of a comma-separated list, or undefined when one is none or two have one name. */
export function parseListenerSpecs(text: string): readonly ListenerSpec[] | undefined {
  const parts = text.split(',').filter((part) => part.trim() !== '')
  const specs = parts.map(parseListenerSpec)
  const valid = specs.filter((spec) => spec !== undefined)
  const hasDistinctNames = new Set(valid.map((spec) => spec.name)).size === valid.length
  return valid.length === parts.length && hasDistinctNames ? valid : undefined
}

export function formatListenerSpec({ name, protocol, host, port }: ListenerSpec): string {
  const address = host.includes(':') ? `[${host}]` : host
  return `${name === protocol ? '' : `${name}=`}${protocol}://${address}:${port}`
}

function unbracketed(host: string): string {
  return host.startsWith('[') ? host.slice(1, -1) : host
}
