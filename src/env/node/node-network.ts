/** The network port over real sockets. */
import type { Clock } from '../clock.ts'
import type { Logger } from '../logger.ts'
import type { Connection, ConnectOptions, Listener, ListenOptions, Network } from '../network.ts'
import { Deadlines } from './deadlines.ts'
import { dial } from './dial.ts'
import { NodeListener } from './node-listener.ts'

/** Dialled connections only have the deadline of their goodbye, some seconds. */
const DIALLED_SWEEP_FOR_MS = 2_000

export class NodeNetwork implements Network {
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #dialled: Deadlines

  constructor(clock: Clock, logger: Logger) {
    this.#clock = clock
    this.#logger = logger
    this.#dialled = new Deadlines(clock, DIALLED_SWEEP_FOR_MS)
  }

  listen(options: ListenOptions, accept: (connection: Connection) => void): Promise<Listener> {
    return NodeListener.open(options, this.#clock, this.#logger, accept)
  }

  async connect(url: string, options: ConnectOptions): Promise<Connection> {
    return dial(url, options, this.#clock, this.#dialled)
  }
}
