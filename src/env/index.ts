/**
 * The outside world, as a set of ports. Nothing else in `src/` (but the adapters below this folder) may touch
 * clock, timers, randomness, disk, network or process; `test/architecture.test.ts` enforces it.
 */
import type { Clock } from './clock.ts'
import type { FileSystem } from './files.ts'
import type { Logger } from './logger.ts'
import type { Network } from './network.ts'
import type { Random } from './random.ts'

export interface Env {
  readonly clock: Clock
  readonly random: Random
  readonly files: FileSystem
  readonly network: Network
  readonly logger: Logger
}

export type { Cancel, Clock } from './clock.ts'
export { FileError } from './files.ts'
export type { File, FileErrorCode, FileStat, FileSystem, OpenMode } from './files.ts'
export { silentLogger } from './logger.ts'
export type { LogFields, Logger } from './logger.ts'
export { NetworkError } from './network.ts'
export type {
  Connection,
  ConnectionBounds,
  ConnectOptions,
  HttpRequest,
  HttpResponse,
  ListenLimits,
  Listener,
  ListenOptions,
  Network,
  NetworkErrorCode,
  PortProtocol,
  Subprotocol,
  Transport,
} from './network.ts'
export type { Random } from './random.ts'
