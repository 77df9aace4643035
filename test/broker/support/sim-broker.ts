/**
 * The whole broker on a simulated machine, and raw clients of it: virtual time, so a test of a wait is exact and takes
 * no time, and a disk that can fail.
 */
import { expect } from 'vitest'
import { Broker } from '../../../src/broker/broker.ts'
import { loadBrokerConfig } from '../../../src/broker/broker-config.ts'
import type { Env, Logger } from '../../../src/env/index.ts'
import { MemoryFileSystem } from '../../../src/env/memory/memory-file-system.ts'
import type { SimNode } from '../../../src/env/sim/sim-node.ts'
import { Simulation } from '../../../src/env/sim/simulation.ts'
import type { ApiName, RequestInputOf, ResponseOf } from '../../../src/protocol/apis.ts'
import { errorByCode } from '../../../src/protocol/errors.ts'
import { RawClient } from '../../support/raw-client.ts'

export const HOME = '/data/broker'
export const PORT = 9092
const CLIENT = 'client'
/** Virtual ms within which everything a test waits for must have happened. */
const PATIENCE_MS = 600_000

export type Settings = Readonly<Record<string, string>>

export interface SimBrokerOptions {
  readonly seed?: number | string
  readonly settings?: Settings
  readonly logger?: Logger
  readonly simulation?: Simulation
}

export class SimBroker {
  readonly simulation: Simulation
  readonly #settings: Settings
  broker!: Broker
  #client: RawClient | null = null

  constructor(options: SimBrokerOptions = {}) {
    const { seed = 'broker', logger } = options
    this.simulation =
      options.simulation ?? new Simulation({ seed, ...(logger === undefined ? {} : { logger }) })
    this.#settings = options.settings ?? {}
    this.node.disk.prepareDirectory(HOME)
  }

  static async start(options: SimBrokerOptions = {}): Promise<SimBroker> {
    const host = new SimBroker(options)
    await host.start()
    return host
  }

  get node(): SimNode {
    return this.simulation.node('broker')
  }

  /** Starts the broker, in the present life of its machine. */
  async start(settings: Settings = {}): Promise<Broker> {
    this.#client = null
    this.broker = await this.run(startOn(this.node.env, { ...this.#settings, ...settings }))
    return this.broker
  }

  /** Ends this life, in a way that `die` names, and starts again. */
  async restart(die: 'close' | 'crash' | 'power cut' = 'close', settings: Settings = {}): Promise<Broker> {
    if (die === 'close') await this.run(this.broker.close())
    if (die === 'power cut') this.node.powerCut()
    else this.node.crash()
    this.node.restart()
    return this.start(settings)
  }

  /** Lets the world go on until `goal` has settled. */
  run<T>(goal: Promise<T> | (() => boolean)): Promise<T> {
    return this.simulation.runUntil(goal, PATIENCE_MS)
  }

  /** Lets virtual time pass. */
  pass(ms: number): Promise<void> {
    return this.simulation.run(this.simulation.nowMs + ms)
  }

  async connect(scheme: 'tcp' | 'ws' = 'tcp', port = PORT): Promise<RawClient> {
    return new RawClient(await this.run(this.dial(scheme, port)))
  }

  dial(scheme: 'tcp' | 'ws' = 'tcp', port = PORT) {
    return this.simulation.env(CLIENT).network.connect(`${scheme}://broker:${port}`, {
      timeoutMs: 10_000,
      messageBytesMax: 2 ** 27,
      sendHighWaterBytes: 2 ** 20,
    })
  }

  /** Calls on a connection that all calls share. */
  async call<A extends ApiName>(api: A, version: number, body: RequestInputOf<A>): Promise<ResponseOf<A>> {
    if (this.#client === null || this.#client.isClosed) this.#client = await this.connect()
    return this.run(this.#client.call(api, version, body))
  }

  /** Creates a topic and gives its id. */
  async createTopic(name: string, partitions = 1, configs: Settings = {}): Promise<string> {
    const { topics } = await this.call('CreateTopics', 7, {
      topics: [
        {
          name,
          numPartitions: partitions,
          replicationFactor: 1,
          assignments: [],
          configs: Object.entries(configs).map(([key, value]) => ({ name: key, value })),
        },
      ],
      timeoutMs: 60_000,
    })
    expect(nameOf(topics[0]!.errorCode), topics[0]!.errorMessage ?? '').toBe('NONE')
    return topics[0]!.topicId
  }
}

export function startOn(env: Env, settings: Settings): Promise<Broker> {
  const flags = new Map(
    Object.entries({ listeners: `any://broker:${PORT}`, ...settings }).map(([key, value]) => [
      key,
      { value, flag: `--${key}` },
    ]),
  )
  const memoryFiles = new MemoryFileSystem(env)
  return Broker.start(env, { config: loadBrokerConfig({ flags }), directory: HOME, memoryFiles })
}

/** The name of a protocol error code. */
export function nameOf(code: number): string {
  return errorByCode(code).name
}
