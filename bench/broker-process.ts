/**
 * A broker in a process of its own: `millrace start`, as users start it, on a free port of the loopback.
 *
 * Invariant: a broker that was started ends by `stop`, by `kill`, or with the run: `start` puts `stop` on the list of
 * what is closed before it waits for the broker.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { findCpuMs, findResidentSet, resetPeak, type ResidentSet } from './process-stats.ts'
import { profileFlags } from './profile/profile.ts'
import type { Measured } from './usage.ts'
import type { WorkloadContext } from './workload.ts'

/** What `millrace start --output json` prints once it serves. */
interface Place {
  readonly listeners: readonly { readonly bootstrap: string; readonly url: string }[]
}

export interface BrokerProcessOptions {
  /** Of the data; created when missing. */
  readonly directory: string
  readonly settings?: Readonly<Record<string, string>>
  /** To listen on; any free one when not given. */
  readonly port?: number
}

export type BrokerContext = Pick<WorkloadContext, 'onClose' | 'profileDirectory'>

/** The built command; from `dist/bench/`. */
const CLI = fileURLToPath(new URL('../cli/main.js', import.meta.url))
/** A broker that does not end in this many ms after it was asked is killed: writing a profile and closing logs take a while. */
const STOP_MS_MAX = 20_000
/** Last characters of a broker's log that an error shows. */
const LOG_SIZE_MAX = 4096

export class BrokerProcess implements Measured {
  readonly who = 'broker'
  readonly #process: ChildProcess
  readonly #ended: Promise<void>
  /** Ms from before the process was made until the broker said that it serves. */
  readonly readyMs: number
  /** `host:port`, for TCP. */
  readonly bootstrap: string
  /** `ws://host:port`. */
  readonly url: string

  private constructor(process: ChildProcess, ended: Promise<void>, readyMs: number, place: Place) {
    this.#process = process
    this.#ended = ended
    this.readyMs = readyMs
    const [listener] = place.listeners
    this.bootstrap = listener!.bootstrap
    this.url = listener!.url
  }

  /** Resolves when the broker serves. @throws {Error} With the end of its log, if it does not come to that. */
  static async start(context: BrokerContext, options: BrokerProcessOptions): Promise<BrokerProcess> {
    mkdirSync(options.directory, { recursive: true })
    const settings = Object.entries(options.settings ?? {}).flatMap(([key, value]) => [
      '-s',
      `${key}=${value}`,
    ])
    const place = [
      ...['--port', String(options.port ?? 0), '--host', '127.0.0.1'],
      ...['--data-dir', options.directory, '--output', 'json'],
    ]
    const flags = profileFlags(context.profileDirectory, 'broker')
    const startMs = performance.now()
    const child = spawn(
      process.execPath,
      [...flags, CLI, 'start', ...place, '--log-level', 'warn', ...settings],
      { stdio: ['ignore', 'pipe', 'pipe'] },
    )
    const ended = once(child, 'exit').then(() => undefined)
    context.onClose(() => end(child, ended, 'SIGTERM'))
    let log = ''
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      log = (log + text).slice(-LOG_SIZE_MAX)
    })
    const line = await Promise.race([firstLine(child), ended.then(() => null)])
    if (line === null) throw new Error(`Started a broker on ${options.directory}: it ended at once\n${log}`)
    return new BrokerProcess(child, ended, performance.now() - startMs, JSON.parse(line) as Place)
  }

  get pid(): number {
    return this.#process.pid!
  }

  get hasEnded(): boolean {
    return hasEnded(this.#process)
  }

  findCpuMs(): number | null {
    return findCpuMs(this.pid)
  }

  findResidentSet(): ResidentSet | null {
    return findResidentSet(this.pid)
  }

  resetPeak(): void {
    resetPeak(this.pid)
  }

  /** Ends it as Ctrl-C does: logs are closed, the directory is marked clean. */
  stop(): Promise<void> {
    return end(this.#process, this.#ended, 'SIGTERM')
  }

  /** Ends it as a crash of the process does. */
  kill(): Promise<void> {
    return end(this.#process, this.#ended, 'SIGKILL')
  }
}

const hasEnded = ({ exitCode, signalCode }: ChildProcess): boolean => exitCode !== null || signalCode !== null

async function end(child: ChildProcess, ended: Promise<void>, signal: NodeJS.Signals): Promise<void> {
  if (hasEnded(child)) return
  child.kill(signal)
  const killer = setTimeout(() => child.kill('SIGKILL'), STOP_MS_MAX)
  await ended
  clearTimeout(killer)
}

function firstLine(child: ChildProcess): Promise<string> {
  return new Promise((resolve) => {
    let text = ''
    child.stdout!.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk
      if (text.includes('\n')) resolve(text.slice(0, text.indexOf('\n')))
    })
  })
}
