/**
 * The real environment: this machine's clock, randomness, disk, network and standard error.
 */
import type { Env } from '../index.ts'
import { NodeClock } from './node-clock.ts'
import { NodeFileSystem } from './node-file-system.ts'
import type { LogLevel } from './node-logger.ts'
import { lineLogger } from './node-logger.ts'
import { NodeNetwork } from './node-network.ts'
import { NodeRandom } from './node-random.ts'

export interface NodeEnvOptions {
  /** The least that is logged; `info` by default. */
  readonly logLevel?: LogLevel
  /** Gets each line, without its end; standard error by default, which leaves standard output to commands. */
  readonly logTo?: (line: string) => void
}

export function nodeEnv(options: NodeEnvOptions = {}): Env {
  const clock = new NodeClock()
  const write = options.logTo ?? ((line: string) => process.stderr.write(`${line}\n`))
  const logger = lineLogger(options.logLevel ?? 'info', write)
  return {
    clock,
    random: new NodeRandom(),
    files: new NodeFileSystem(),
    network: new NodeNetwork(clock, logger),
    logger,
  }
}

export { loadNativeCrc32c, loadNativeZstd, nativeGzip } from './native.ts'
export type { Crc32c, NativeCodec } from './native.ts'
export type { LogLevel } from './node-logger.ts'
