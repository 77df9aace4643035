/**
 * Starts a broker in this process, on the real clock, disk and network: what `millrace start` and the tests of other
 * projects call.
 */
import './native.ts'
import { Broker } from '../broker/broker.ts'
import { loadBrokerConfig } from '../broker/broker-config.ts'
import type { ConfigSources } from '../broker/broker-config.ts'
import type { Env } from '../env/index.ts'
import { silentLogger } from '../env/index.ts'
import { MemoryFileSystem } from '../env/memory/memory-file-system.ts'
import { absolutePath } from '../env/node/absolute-path.ts'
import { nodeEnv } from '../env/node/index.ts'
import type { LogLevel } from '../env/node/index.ts'
import { inProcessNetwork, joinNetworks } from './in-process.ts'

export interface StartBrokerOptions extends ConfigSources {
  /** Keep everything in memory: no file is read or written, and all is gone when the broker stops. */
  readonly ephemeral?: boolean
  /** The memory to keep it in: a broker that starts again finds there what the last one left. Default: a new one. */
  readonly files?: MemoryFileSystem
  /** Where other nodes listen, as URLs, if the settings do not say it. */
  readonly addressOf?: (nodeId: number) => string | null
  /** Gives up a start that waits for the rest of the cluster. */
  readonly signal?: AbortSignal
  /** The least that is logged; `silent` for nothing. Default `info`. */
  readonly logLevel?: LogLevel | 'silent'
  /** Gets each line of the log, without its end; standard error by default. */
  readonly logTo?: (line: string) => void
}

/** Where an ephemeral broker's data would be. */
const EPHEMERAL_DIRECTORY = '/millrace'

/**
 * Starts a broker; resolves when it serves.
 *
 * @throws {BrokerError} if the cluster does not take it, or cannot be told from the settings.
 * @throws {ConfigError} if a setting is unknown or not allowed; the message says which, and where it came from.
 * @throws {LogError | FileError} if the data directory is in use, of another cluster or node, damaged, or not readable.
 * @throws {NetworkError} if a listener cannot be opened.
 */
export function startBroker(options: StartBrokerOptions = {}): Promise<Broker> {
  return startBrokerOn(options, (env) => env)
}

/**
 * As `startBroker`, on ports that are not quite those of the machine.
 *
 * @param adapt - Gets the machine's ports; the broker has what it returns.
 */
export async function startBrokerOn(options: StartBrokerOptions, adapt: (env: Env) => Env): Promise<Broker> {
  const config = loadBrokerConfig(options)
  const { logLevel = 'info', logTo, ephemeral = false } = options
  const machine = nodeEnv({
    ...(logLevel === 'silent' ? {} : { logLevel }),
    ...(logTo === undefined ? {} : { logTo }),
  })
  const memoryFiles = options.files ?? new MemoryFileSystem(machine)
  const env = {
    ...machine,
    logger: logLevel === 'silent' ? silentLogger : machine.logger,
    files: ephemeral ? memoryFiles : machine.files,
    network: joinNetworks(inProcessNetwork(machine.clock), machine.network),
  }
  const directory = ephemeral ? EPHEMERAL_DIRECTORY : absolutePath(config.dataDirectory)
  const { addressOf, signal } = options
  return Broker.start(adapt(env), {
    ...{ config, directory, memoryFiles },
    ...(addressOf === undefined ? {} : { addressOf }),
    ...(signal === undefined ? {} : { signal }),
  })
}
