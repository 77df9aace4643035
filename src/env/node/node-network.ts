/**
 * The network port over real sockets. `in-process://` URLs go to the network it is given for them, so that an
 * embedded broker can be reached both ways through one port.
 */
import type { Clock } from '../clock.ts'
import type { Logger } from '../logger.ts'
import type { Connection, ConnectOptions, Listener, ListenOptions, Network } from '../network.ts'
import { NetworkError } from '../network.ts'
import { Deadlines } from './deadlines.ts'
import { dial } from './dial.ts'
import { NodeListener } from './node-listener.ts'

/** Dialled connections only have the deadline of their goodbye, some seconds. */
const DIALLED_SWEEP_FOR_MS = 2_000

export class NodeNetwork implements Network {
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #inProcess: Network | null
  readonly #dialled: Deadlines

  constructor(clock: Clock, logger: Logger, inProcess: Network | null) {
    this.#clock = clock
    this.#logger = logger
    this.#inProcess = inProcess
    this.#dialled = new Deadlines(clock, DIALLED_SWEEP_FOR_MS)
  }

  listen(options: ListenOptions, accept: (connection: Connection) => void): Promise<Listener> {
    return NodeListener.open(options, this.#clock, this.#logger, accept)
  }

  async connect(url: string, options: ConnectOptions): Promise<Connection> {
    if (!url.startsWith('in-process:')) return dial(url, options, this.#clock, this.#dialled)
    if (this.#inProcess !== null) return this.#inProcess.connect(url, options)
    throw new NetworkError(
      'NETWORK_BAD_ADDRESS',
      `Connected to ${url}: this environment has no in-process network`,
    )
  }
}
