/**
 * What `millrace start` prints once it serves: where it listens, where its data is, what an acknowledgement means, and
 * what to try next.
 */
import { resolve } from 'node:path'
import type { Broker, ConfigSources } from '../src/index.ts'
import type { Context } from './context.ts'
import type { ClusterPlace } from './start-cluster.ts'
import { packageVersion } from './version.ts'

/** What an acknowledgement of a broker's topics means unless they say otherwise. */
const DURABILITY_MEANINGS: ReadonlyMap<string, string> = new Map([
  ['disk', 'an acknowledged record is on stable storage'],
  ['os', 'an acknowledged record is in the page cache: it survives the process, not a power cut'],
  ['memory', 'records are gone when the broker stops'],
])

/** What is printed, in JSON under these names. */
export interface Place {
  readonly version: string
  readonly pid: number
  readonly clusterId: string
  readonly nodeId: number
  readonly listeners: readonly {
    readonly name: string
    readonly host: string
    readonly port: number
    /** For Kafka clients over TCP: `host:port`; null for a listener without. */
    readonly bootstrap: string | null
    /** For WebSocket clients; null for a listener without. */
    readonly url: string | null
  }[]
  /** Null when everything is in memory. */
  readonly dataDirectory: string | null
  /** Default of new topics: `disk`, `os` or `memory`. */
  readonly durability: string
}

export async function describePlace(
  broker: Broker,
  sources: ConfigSources,
  isEphemeral: boolean,
): Promise<Place> {
  const { explainBrokerConfig, loadBrokerConfig } = await import('../src/index.ts')
  const config = loadBrokerConfig(sources)
  const durability =
    explainBrokerConfig(sources).find(({ name }) => name === 'log.durability')?.value ?? 'disk'
  return {
    version: packageVersion(),
    pid: process.pid,
    clusterId: broker.clusterId,
    nodeId: broker.nodeId,
    listeners: broker.listeners.map(({ name, host, port }) => {
      const protocol = config.listeners.find((listener) => listener.name === name)?.protocol ?? 'any'
      const address = `${reachable(host)}:${port}`
      return {
        name,
        host,
        port,
        bootstrap: protocol === 'http' ? null : address,
        url: protocol === 'kafka' ? null : `ws://${address}`,
      }
    }),
    dataDirectory: isEphemeral ? null : resolve(config.dataDirectory),
    durability: isEphemeral ? 'memory' : durability,
  }
}

/** An address of this machine that leads to `host`. */
function reachable(host: string): string {
  if (host === '0.0.0.0' || host === '::' || host === '127.0.0.1') return 'localhost'
  return host.includes(':') ? `[${host}]` : host
}

const KAFKA_PORT = 9092

export async function printPlace({ out }: Context, place: Place): Promise<void> {
  const row = (title: string, value: string): Promise<void> =>
    out.line(`  ${out.style('dim', title.padEnd(12))}${value}`)
  await out.line(`${out.style('bold', 'Millrace')} ${place.version}`)
  await out.line()
  for (const { bootstrap, url } of place.listeners) {
    if (bootstrap !== null) await row('Kafka', out.style('green', bootstrap))
    if (url !== null) await row('WebSocket', out.style('green', url))
  }
  const { dataDirectory, durability } = place
  await row('Data', dataDirectory ?? 'in memory, gone when it stops')
  if (dataDirectory !== null)
    await row('Durability', `${durability}: ${DURABILITY_MEANINGS.get(durability) ?? ''}`)
  await row('Cluster', `${place.clusterId}, node ${place.nodeId}`)
  await out.line()
  const [first] = place.listeners
  const address = first?.bootstrap ?? first?.url ?? null
  const where = address === null || first?.port === KAFKA_PORT ? '' : ` -b ${address}`
  await row('Try it', `npx millrace topic create events${where}`)
  await row('', `echo hello | npx millrace produce events${where}`)
  await row('', `npx millrace tail events${where}`)
  await row('Stop it', 'Ctrl-C')
  await out.line()
}

/** Prints a cluster of one machine: the addresses that lead to any of its brokers. */
export async function printClusterPlace(
  { out }: Context,
  { clusterId, brokers }: ClusterPlace,
  dataDirectory: string,
): Promise<void> {
  const row = (title: string, value: string): Promise<void> =>
    out.line(`  ${out.style('dim', title.padEnd(12))}${value}`)
  const listeners = brokers.flatMap(({ listeners: [first] }) => (first === undefined ? [] : [first]))
  const bootstrap = listeners.flatMap((each) => (each.bootstrap === null ? [] : [each.bootstrap])).join(',')
  await out.line(
    `${out.style('bold', 'Millrace')} ${packageVersion()}, ${brokers.length} brokers on this machine`,
  )
  await out.line()
  if (bootstrap !== '') await row('Kafka', out.style('green', bootstrap))
  for (const { url } of listeners) if (url !== null) await row('WebSocket', out.style('green', url))
  await row('Data', resolve(dataDirectory))
  const durability = brokers[0]?.durability ?? 'disk'
  await row(
    'Durability',
    `${durability}, at every in-sync replica: ${DURABILITY_MEANINGS.get(durability) ?? ''}`,
  )
  await row('Cluster', `${clusterId}, processes ${brokers.map(({ pid }) => pid).join(', ')}`)
  await out.line()
  const where = listeners[0]?.port === KAFKA_PORT ? '' : ` -b ${bootstrap}`
  await row('Try it', `npx millrace topic create events${where}`)
  await row('', `npx millrace topic describe events${where}`)
  await row('', `kill -9 one of them, and look again`)
  await row('Stop it', 'Ctrl-C')
  await out.line()
}
