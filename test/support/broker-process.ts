/**
 * A broker as its users run it: the built command in a process of its own, on the disk, on a port of its choice. It can
 * be killed, stopped and started again on the same port and directory.
 */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { LineProcess } from './child-process.ts'
import type { Exit } from './child-process.ts'
import { REPOSITORY } from './repository.ts'

const MAIN = join(REPOSITORY, 'dist/cli/main.js')

export interface BrokerProcessOptions {
  readonly directory: string
  /** Broker settings by key. */
  readonly settings?: Readonly<Record<string, string>>
  /** Default 'warn': then what it logs is complaints. */
  readonly logLevel?: 'info' | 'warn'
  /** Default 0: a free one. Brokers that must know each other's ports have them reserved (free-ports.ts). */
  readonly port?: number
  /** Default: loopback. */
  readonly host?: string
  /** Put before the command: what runs it somewhere else (namespaces.ts). */
  readonly prefix?: readonly string[]
}

const LOOPBACK = '127.0.0.1'

interface Place {
  readonly clusterId: string
  readonly listeners: readonly { readonly port: number }[]
}

export class BrokerProcess {
  readonly #options: BrokerProcessOptions
  #process: LineProcess
  #place: Place | null = null
  /** Lines that earlier processes of this broker logged. */
  readonly #earlierLog: string[] = []
  #isRunning = true

  private constructor(options: BrokerProcessOptions) {
    this.#options = options
    this.#process = this.#spawn(options.port ?? 0)
  }

  /** Starts a broker on a free port; resolves when it serves. */
  static async start(options: BrokerProcessOptions): Promise<BrokerProcess> {
    if (!existsSync(MAIN))
      throw new Error(`Starting a broker: ${MAIN} is missing, wanted after npm run build`)
    const broker = new BrokerProcess(options)
    await broker.#ready()
    return broker
  }

  /** As `start`, for one test: killed when that has finished. */
  static async forTest(options: BrokerProcessOptions): Promise<BrokerProcess> {
    const broker = await BrokerProcess.start(options)
    onTestFinished(async () => {
      await broker.kill()
    })
    return broker
  }

  get directory(): string {
    return this.#options.directory
  }

  get port(): number {
    return this.#place!.listeners[0]!.port
  }

  /** `host:port`. */
  get bootstrap(): string {
    return `${this.#options.host ?? LOOPBACK}:${this.port}`
  }

  get webSocketUrl(): string {
    return `ws://${this.bootstrap}`
  }

  get clusterId(): string {
    return this.#place!.clusterId
  }

  get pid(): number {
    return this.#process.pid
  }

  /** All that its processes have logged so far. */
  get log(): readonly string[] {
    return [...this.#earlierLog, ...this.#process.errLines]
  }

  /** As `log`, which is warnings and errors unless asked for more, without what a clean stop says. */
  get complaints(): readonly string[] {
    return this.log.filter((line) => !/^Stopped cleanly/.test(line))
  }

  /** Whether its process runs, be it paused. */
  get isRunning(): boolean {
    return this.#isRunning
  }

  /** How its process ended; resolves when it has, and all it logged was read. */
  get exited(): Promise<Exit> {
    return this.#process.exited
  }

  /** `kill -9`. */
  async kill(): Promise<void> {
    await this.#process.kill('SIGKILL')
  }

  /** SIGSTOP: it does nothing, and its connections stay open. */
  pause(): void {
    process.kill(this.pid, 'SIGSTOP')
  }

  /** SIGCONT. */
  resume(): void {
    process.kill(this.pid, 'SIGCONT')
  }

  /** SIGTERM; throws unless it then stops cleanly. */
  async stop(): Promise<void> {
    const { code, signal } = await this.#process.kill('SIGTERM')
    const last = this.#process.errLines.at(-1) ?? ''
    if (code !== 0 || !last.startsWith('Stopped cleanly')) {
      throw new Error(`Stopping the broker: exit ${code ?? signal}, wanted a clean one: ${last}`)
    }
  }

  /** Starts it again, on the same port and directory; resolves when it serves. */
  async restart(): Promise<void> {
    await this.#process.exited
    this.#earlierLog.push(...this.#process.errLines)
    this.#process = this.#spawn(this.port)
    await this.#ready()
  }

  /** Starts it again and kills it with SIGKILL when it has logged so many lines, however far it has come then. */
  async killWhileStarting(lineCount: number): Promise<void> {
    await this.#process.exited
    this.#earlierLog.push(...this.#process.errLines)
    this.#process = this.#spawn(this.port)
    for (let line = 0; line < lineCount; line++) await this.#process.errLine()
    await this.kill()
  }

  #spawn(port: number): LineProcess {
    const { directory, settings = {}, logLevel = 'warn', host, prefix = [] } = this.#options
    const set = Object.entries(settings).flatMap(([key, value]) => ['--set', `${key}=${value}`])
    const at = host === undefined ? [] : ['--host', host]
    const where = [...at, '--port', String(port), '--data-dir', directory]
    const [command, ...args] = [...prefix, process.execPath, MAIN]
    const spawned = new LineProcess(command, [
      ...args,
      ...['start', '--output', 'json', '--log-level', logLevel, ...where, ...set],
    ])
    this.#isRunning = true
    const ended = (): void => {
      if (this.#process === spawned) this.#isRunning = false
    }
    spawned.exited.then(ended, ended)
    return spawned
  }

  async #ready(): Promise<void> {
    this.#place = JSON.parse(await this.#process.line()) as Place
  }
}
