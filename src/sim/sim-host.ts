/** A simulated machine that brokers live on, one after another, and how one is started there. */
import { Broker } from '../broker/broker.ts'
import { loadBrokerConfig } from '../broker/broker-config.ts'
import type { Env } from '../env/index.ts'
import { MemoryFileSystem } from '../env/memory/memory-file-system.ts'
import type { SimNode } from '../env/sim/sim-node.ts'

/** Where a broker keeps its data, on a disk of its own. */
export const DIRECTORY = '/data'
/** Where every broker listens. */
export const PORT = 9092

/** Settings of a broker by key. */
export type Settings = Readonly<Record<string, string>>
/** How the life of a broker ends. */
export type Death = 'close' | 'crash' | 'power cut'

/** Why a broker could not start, or stopped by itself. */
export interface Ended {
  readonly node: string
  readonly error: Error
}

/** One broker's machine, through all its lives. */
export class Host {
  readonly id: number
  readonly node: SimNode
  /** While it serves. */
  broker: Broker | null = null
  /** Settles with this life's start. */
  starting: Promise<Broker> | null = null
  /** Why the last start failed, or why the broker stopped by itself. */
  failure: Error | null = null
  isClosing = false
  /** Settings that its brokers have in place of the cluster's, from the next start on. */
  settings: Settings = {}

  constructor(id: number, node: SimNode) {
    this.id = id
    this.node = node
  }

  get name(): string {
    return this.node.name
  }
}

/** Starts a broker in an environment; resolves when it serves. */
export function startBroker(env: Env, nodeId: number, settings: Settings): Promise<Broker> {
  const flags = new Map(
    Object.entries({ listeners: `any://b${nodeId}:${PORT}`, 'node.id': String(nodeId), ...settings }).map(
      ([key, value]) => [key, { value, flag: `setting ${key}` }],
    ),
  )
  return Broker.start(env, {
    config: loadBrokerConfig({ flags }),
    directory: DIRECTORY,
    memoryFiles: new MemoryFileSystem(env),
  })
}
