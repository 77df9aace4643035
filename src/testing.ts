/**
 * For the tests of other projects: a real broker in the process of the test, in memory, with nothing to clean up; a
 * replicated cluster of them; and a simulated cluster on virtual time, in which machines die and a seed decides how.
 *
 * It is the broker that runs in production, with files in memory. Clients of the same process reach it without a
 * socket; everybody else, foreign Kafka clients among them, by `broker.bootstrap`, a free port on loopback.
 */
import type { Broker } from './broker/broker.ts'
import type { ClientOptions } from './client/client-options.ts'
import { nodeEnv } from './env/node/index.ts'
import { Client } from './node/client.ts'
import { IN_PROCESS_SUFFIX } from './node/in-process.ts'
import { startBroker as startRealBroker } from './node/start-broker.ts'
import { World } from './sim/world.ts'
import type { SimulateOptions } from './sim/world.ts'

export { Cluster } from './node/test-cluster.ts'
export type { ClusterNode, ClusterOptions } from './node/test-cluster.ts'
export type { ClusterBroker, ClusterBrokerState } from './node/test-machine.ts'
export type { Client as PortableClient } from './client/client.ts'
export type { Cancel, LogFields, Logger } from './env/index.ts'
export type { DiskFailure, DiskOperation, DiskSlowness } from './env/memory/troubled-files.ts'
export type { DataLoss, NameLoss, PowerCutModes } from './env/sim/disk-image.ts'
export type { Machine, MachineClock } from './sim/machine.ts'
export { formatSaid } from './sim/said.ts'
export type { Said } from './sim/said.ts'
export type { LinkDelayMs, SimulateOptions, WaitOptions, World, WorldClock } from './sim/world.ts'
export type { BrokerState, WorldBroker } from './sim/world-broker.ts'
export { WorldError } from './sim/world-error.ts'
export type { WorldErrorCode } from './sim/world-error.ts'

export interface TestBrokerOptions {
  /** Broker settings by key, such as `{ 'num.partitions': '3' }`. */
  readonly settings?: Readonly<Record<string, string>>
  /** Whether to listen on a TCP port too. Default true. */
  readonly listens?: boolean
  /** A data directory, for tests that stop a broker and start it again. Default: everything in memory. */
  readonly directory?: string
}

/** A running broker and the ways to it. */
export class TestBroker {
  readonly #broker: Broker
  /** For clients of this process, without a socket. */
  readonly url: string

  constructor(broker: Broker, url: string) {
    this.#broker = broker
    this.url = url
  }

  /** `host:port` for any Kafka client; `ws://` in front of it for WebSocket. */
  get bootstrap(): string {
    const listener = this.#broker.listeners.find(({ name }) => name === TCP_LISTENER)
    if (listener === undefined)
      throw new Error('Cannot give an address: the broker was started with listens: false')
    return `${listener.host}:${listener.port}`
  }

  /** A client of this broker; dispose of it, or of nothing: it goes with the process. */
  client(options: Partial<ClientOptions> = {}): Client {
    return new Client({ bootstrap: this.url, ...options })
  }

  close(): Promise<void> {
    return this.#broker.close()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}

const TCP_LISTENER = 'any'
const IN_PROCESS_LISTENER = 'in-process'
let startedCount = 0

/** Starts a broker; resolves when it serves, some tens of milliseconds later. Groups do not wait for further members. */
export async function startBroker(options: TestBrokerOptions = {}): Promise<TestBroker> {
  startedCount++
  const name = `test-${startedCount}${IN_PROCESS_SUFFIX}`
  const listeners = [
    `${IN_PROCESS_LISTENER}=kafka://${name}:1`,
    ...(options.listens === false ? [] : [`${TCP_LISTENER}://127.0.0.1:0`]),
  ]
  const settings = {
    listeners: listeners.join(','),
    'group.initial.rebalance.delay.ms': '0',
    ...(options.directory === undefined ? {} : { 'log.dir': options.directory }),
    ...options.settings,
  }
  const broker = await startRealBroker({
    flags: new Map(Object.entries(settings).map(([key, value]) => [key, { value, flag: `setting ${key}` }])),
    ephemeral: options.directory === undefined,
    logLevel: 'warn',
  })
  return new TestBroker(broker, `in-process://${name}`)
}

/**
 * Begins a world: a cluster of brokers and machines for the code under test, all on virtual time and ruled by a seed. Resolves
 * when every broker serves. Close it, or have `await using` do so.
 *
 * @throws {WorldError} `WORLD_BAD_ARGUMENT`. @throws {ConfigError} if a setting is unknown or not allowed.
 */
export function simulate(options: SimulateOptions = {}): Promise<World> {
  return World.start(options, nodeEnv({ logLevel: 'warn' }))
}
