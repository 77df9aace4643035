/**
 * The environment a browser (or a worker in one) gives: its clock, Web Crypto and WebSocket. There are no files, and
 * connections can only be opened, not accepted.
 *
 * The few names used of the platform are declared here by their shape, so that the project needs no DOM library and
 * tests can hand in their own.
 */
import type { Env } from '../index.ts'
import type { File, FileSystem } from '../files.ts'
import { FileError } from '../files.ts'
import type { Logger } from '../logger.ts'
import { silentLogger } from '../logger.ts'
import { BrowserClock } from './browser-clock.ts'
import type { BrowserTimers } from './browser-clock.ts'
import { BrowserNetwork } from './browser-network.ts'
import type { WebSocketConstructor } from './browser-network.ts'
import { BrowserRandom } from './browser-random.ts'
import type { RandomSource } from './browser-random.ts'

export interface BrowserEnvOptions {
  /** Gets what the client logs; the default drops it, since a library has no business in a page's console. */
  readonly logger?: Logger
  /** For platforms and tests that do not have it as a global. */
  readonly WebSocket?: WebSocketConstructor
}

interface Platform extends BrowserTimers {
  readonly crypto: RandomSource
  readonly WebSocket?: WebSocketConstructor
}

export function browserEnv(options: BrowserEnvOptions = {}): Env {
  const platform = globalThis as unknown as Platform
  const clock = new BrowserClock(platform)
  return {
    clock,
    random: new BrowserRandom(platform.crypto),
    files: noFiles,
    network: new BrowserNetwork(clock, options.WebSocket ?? platform.WebSocket ?? null),
    logger: options.logger ?? silentLogger,
  }
}

function refuse(path: string): Promise<never> {
  return Promise.reject(
    new FileError('FILE_NO_ACCESS', `Used ${path}: a browser has no file system for this`, path),
  )
}

const noFiles: FileSystem = {
  open: (path): Promise<File> => refuse(path),
  stat: refuse,
  list: refuse,
  rename: refuse,
  remove: refuse,
  makeDirectory: refuse,
  syncDirectory: refuse,
  space: refuse,
  lock: refuse,
}
