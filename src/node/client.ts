/**
 * The client on this machine: the portable one, bound to the real clock, randomness and network.
 */
import './native.ts'
import { Client as PortableClient } from '../client/client.ts'
import type { ClientOptions } from '../client/client-options.ts'
import type { Logger } from '../env/index.ts'
import { nodeEnv } from '../env/node/index.ts'
import { inProcessNetwork, joinNetworks } from './in-process.ts'

/** One environment a process is enough: clients share nothing else through it. */
let shared: ReturnType<typeof nodeEnv> | null = null

function environment(): ReturnType<typeof nodeEnv> {
  if (shared !== null) return shared
  const env = nodeEnv({ logLevel: 'warn' })
  shared = { ...env, network: joinNetworks(inProcessNetwork(env.clock), env.network) }
  return shared
}

export interface NodeClientOptions extends ClientOptions {
  /** Gets what the client has to say beside its errors, such as that it connects again. Default: lines on standard error. */
  readonly logger?: Logger
}

export class Client extends PortableClient {
  /** @throws {ClientError} `CLIENT_BAD_ARGUMENT`. */
  constructor(options: NodeClientOptions) {
    const { logger, ...rest } = options
    super(logger === undefined ? environment() : { ...environment(), logger }, rest)
  }
}
