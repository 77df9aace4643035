/**
 * The brokers of the demo: processes of the built command, in a directory that goes with them. Nothing of them outlives this
 * process: each holds a channel to it and ends when that closes, and all that is left is removed at exit.
 */
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { CommandError } from './errors.ts'
import { EXIT } from './exit-codes.ts'
import { freePorts } from './free-ports.ts'

const MAIN = fileURLToPath(new URL('./main.js', import.meta.url))
const HOST = '127.0.0.1'

/** A dead broker is found out sooner than by default, so that nobody has to wait for it. */
const SETTINGS: Readonly<Record<string, string>> = {
  'broker.session.timeout.ms': '1500',
  'broker.heartbeat.interval.ms': '250',
  'controller.quorum.fetch.timeout.ms': '1000',
  'default.replication.factor': '3',
  'min.insync.replicas': '2',
}

/** Lines of a broker's log that are kept for when it does not start. */
const LOG_LINES_MAX = 5

export interface DemoBroker {
  readonly id: number
  readonly port: number
  /** Null while it is dead. */
  readonly pid: number | null
}

interface Seat {
  readonly id: number
  readonly port: number
  process: ChildProcess | null
}

export class DemoCluster {
  readonly #count: number
  readonly #directory = mkdtempSync(join(tmpdir(), 'millrace-demo-'))
  readonly #clusterId = randomBytes(16).toString('base64url')
  #seats: readonly Seat[] = []
  readonly #atExit = (): void => this.destroy()

  constructor(count: number) {
    this.#count = count
    process.once('exit', this.#atExit)
  }

  get ids(): readonly number[] {
    return this.#seats.map(({ id }) => id)
  }

  get bootstrap(): readonly string[] {
    return this.#seats.map(({ port }) => `${HOST}:${port}`)
  }

  get brokers(): readonly DemoBroker[] {
    return this.#seats.map(({ id, port, process: child }) => ({ id, port, pid: child?.pid ?? null }))
  }

  /** Resolves when all serve. */
  async start(): Promise<void> {
    const ports = await freePorts(this.#count, HOST)
    this.#seats = ports.map((port, index) => ({ id: index + 1, port, process: null }))
    await Promise.all(this.#seats.map((seat) => this.#start(seat)))
  }

  /** `kill -9`. */
  kill(id: number): void {
    const seat = this.#seatOf(id)
    seat.process?.kill('SIGKILL')
    seat.process = null
  }

  /** Starts a killed broker on its port and directory; resolves when it serves. */
  restart(id: number): Promise<void> {
    return this.#start(this.#seatOf(id))
  }

  /** Kills what runs and removes what is left. Harmless when it was done before. */
  destroy(): void {
    process.off('exit', this.#atExit)
    for (const { id } of this.#seats) this.kill(id)
    // A process that is being killed may still make a file; then the directory is looked through once more.
    rmSync(this.#directory, { recursive: true, force: true, maxRetries: 10, retryDelay: 20 })
  }

  #seatOf(id: number): Seat {
    return this.#seats[id - 1]!
  }

  #start(seat: Seat): Promise<void> {
    const voters = this.#seats.map(({ id, port }) => `${id}@${HOST}:${port}`).join(',')
    const settings = {
      ...SETTINGS,
      'node.id': String(seat.id),
      'cluster.id': this.#clusterId,
      'controller.quorum.voters': voters,
    }
    // A group of its own: Ctrl-C goes to this process only.
    const child = spawn(
      process.execPath,
      [
        ...[
          MAIN,
          'start',
          '--output',
          'json',
          '--log-level',
          'warn',
          '--host',
          HOST,
          '--port',
          String(seat.port),
        ],
        ...['--data-dir', join(this.#directory, `broker-${seat.id}`)],
        ...Object.entries(settings).flatMap(([key, value]) => ['--set', `${key}=${value}`]),
      ],
      { stdio: ['ignore', 'pipe', 'pipe', 'ipc'], detached: true },
    )
    seat.process = child
    const log: string[] = []
    createInterface({ input: child.stderr! }).on('line', (line) =>
      log.push(...log.splice(-LOG_LINES_MAX + 1), line),
    )
    return new Promise((resolve, reject) => {
      createInterface({ input: child.stdout! }).once('line', () => resolve())
      child.once('error', reject)
      child.once('close', (code, signal) => {
        if (seat.process === child) seat.process = null
        const how = signal === null ? `with code ${code}` : `by ${signal}`
        reject(
          new CommandError(
            EXIT.failed,
            `Cannot run broker ${seat.id}: it ended ${how}`,
            log.join('; ') || null,
          ),
        )
      })
    })
  }
}
