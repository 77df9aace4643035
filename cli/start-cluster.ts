/**
 * `millrace start --brokers N`: a cluster on this machine, one process for each broker, until Ctrl-C.
 *
 *   <data directory>/broker-1/ | broker-2/ | …      ports: the first broker's, and those after it
 *
 * This process serves nothing. It starts the brokers, passes on what they log with their number in front, starts those
 * again that died (one that was told to stop stays stopped), and stops all when it is told to. When it dies itself the brokers stop, too: each holds a channel to
 * it and hears it close.
 */
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import type { Context } from './context.ts'
import { CommandError } from './errors.ts'
import { EXIT } from './exit-codes.ts'
import { freePorts } from './free-ports.ts'
import { onInterrupt } from './interrupts.ts'
import type { Place } from './place.ts'

/** A machine runs one broker per core; more than this on one is a typo. */
export const BROKERS_MAX = 15

/** Replicas of a topic that is created without saying how many, if there are as many brokers. */
const REPLICAS = 3
/** Set for the brokers of a cluster: there is a channel to the process that started them. */
export const PARENT_VARIABLE = 'MILLRACE_PARENT'

/** What a broker of this machine is told when the whole cluster stops. */
export const STOP_ALL = 'stop all'
/** What a broker says to the process that started it when somebody else listens on its port. */
export const PORT_TAKEN = 'port taken'

/** So often free ports are looked for: that one is lost on the way takes a busy machine, and that many a broken one. */
const PORT_TRIES_MAX = 5

/** A broker that died is started again after this long, in ms, and after twice as long each time until it lives long. */
const RESTART_MIN_MS = 1000
const RESTART_MAX_MS = 30_000
/** A broker that lived for this long, in ms, was well. */
const WELL_MS = 60_000

export interface ClusterOptions {
  readonly brokers: number
  /** Port of the first broker; 0 takes any free ones. */
  readonly port: number
  /** Address to listen on. */
  readonly host: string
  readonly dataDirectory: string
  /** Arguments that every broker gets as they are. */
  readonly passedOn: readonly string[]
}

/** The cluster as its brokers told of themselves when they were first ready. */
export interface ClusterPlace {
  readonly clusterId: string
  readonly brokers: readonly Place[]
}

/**
 * Runs the cluster until it is told to stop.
 *
 * @param onReady - Called once, when every broker serves.
 * @throws {CommandError} A broker ended before the cluster was ready; the others are stopped.
 */
export async function runCluster(
  context: Context,
  options: ClusterOptions,
  onReady: (place: ClusterPlace) => Promise<void>,
): Promise<void> {
  for (let tries = 1; ; tries++) {
    const ports = await portsFor(options)
    try {
      await runOn(ports, context, options, onReady)
      return
    } catch (error) {
      // Between the choice of a free port and its use anybody may take it. A port that was asked for is not ours to change.
      const isChosenHere = error instanceof PortTakenError && options.port === 0
      if (!isChosenHere || tries === PORT_TRIES_MAX) throw error
      await context.err.line('Another process took a port that was free; the brokers begin again on others')
    }
  }
}

/** Runs the cluster on these ports. */
async function runOn(
  ports: readonly number[],
  context: Context,
  options: ClusterOptions,
  onReady: (place: ClusterPlace) => Promise<void>,
): Promise<void> {
  const clusterId = await clusterIdOf(options)
  const voters = ports.map((port, index) => `${index + 1}@${options.host}:${port}`).join(',')
  const replicas = Math.min(REPLICAS, options.brokers)
  const children = ports.map((port, index) => {
    const nodeId = index + 1
    const settings = {
      'node.id': String(nodeId),
      'cluster.id': clusterId,
      'controller.quorum.voters': voters,
      'broker.rack': hostname(),
      'default.replication.factor': String(replicas),
      'min.insync.replicas': String(Math.max(1, replicas - 1)),
    }
    return new BrokerChild(context, nodeId, [
      ...['start', '--output', 'json', '--host', options.host, '--port', String(port)],
      ...['--data-dir', directoryOf(options, nodeId)],
      ...Object.entries(settings).flatMap(([key, value]) => ['--set', `${key}=${value}`]),
      ...options.passedOn,
    ])
  })
  const stop = (): void => {
    if (context.err.isTty) void context.err.line() // The terminal shows ^C on the line that the cursor is on.
    for (const child of children) child.stop()
  }
  const release = onInterrupt(stop)
  try {
    const places = await Promise.all(children.map((child) => child.ready()))
    await onReady({ clusterId, brokers: places })
  } catch (error) {
    stop()
    throw error
  } finally {
    await Promise.all(children.map((child) => child.stopped))
    release()
  }
}

/** A broker could not start since somebody else listens on its port. */
class PortTakenError extends CommandError {}

class BrokerChild {
  readonly #context: Context
  readonly #nodeId: number
  readonly #commandLine: readonly string[]
  #process: ChildProcess | null = null
  #isStopping = false
  #isReady = false
  #lacksPort = false
  #restartMs = RESTART_MIN_MS
  #restart: NodeJS.Timeout | null = null
  #resolveStopped: () => void = () => undefined
  /** Resolves when the process has ended and will not be started again. */
  readonly stopped: Promise<void>

  constructor(context: Context, nodeId: number, commandLine: readonly string[]) {
    this.#context = context
    this.#nodeId = nodeId
    this.#commandLine = commandLine
    this.stopped = new Promise((resolve) => (this.#resolveStopped = resolve))
  }

  /** Starts the broker; resolves with what it says of itself once it serves. */
  ready(): Promise<Place> {
    return new Promise((resolve, reject) => this.#start(resolve, reject))
  }

  stop(): void {
    if (this.#isStopping) return
    this.#isStopping = true
    if (this.#restart !== null) {
      clearTimeout(this.#restart)
      this.#resolveStopped()
    }
    // With a word that all stop: nobody is left to hand leaderships to. One that is ending by itself does not hear it.
    this.#process?.send(STOP_ALL, () => undefined)
  }

  #start(resolve: (place: Place) => void, reject: (error: Error) => void): void {
    this.#restart = null
    const startedMs = performance.now()
    // A group of its own: Ctrl-C goes to this process only, which stops the brokers.
    const child = spawn(process.execPath, [process.argv[1]!, ...this.#commandLine], {
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      env: { ...process.env, [PARENT_VARIABLE]: String(process.pid) },
      detached: true,
    })
    this.#process = child
    createInterface({ input: child.stdout! }).once('line', (line) => {
      this.#isReady = true
      resolve(JSON.parse(line) as Place)
    })
    child.on('message', (message) => {
      if (message === PORT_TAKEN) this.#lacksPort = true
    })
    createInterface({ input: child.stderr! }).on('line', (line) => void this.#say(line))
    child.once('close', (code, signal) => {
      this.#process = null
      const how = signal === null ? `with code ${code}` : `by ${signal}`
      if (this.#isStopping || !this.#isReady) {
        this.#isStopping = true
        this.#resolveStopped()
        const Failure = this.#lacksPort ? PortTakenError : CommandError
        reject(
          new Failure(
            EXIT.failed,
            `Cannot start the cluster: broker ${this.#nodeId} ended ${how}, see above`,
          ),
        )
        return
      }
      if (code === 0) {
        // Somebody stopped it, and not this process: it is wanted stopped (`broker decommission`).
        this.#isStopping = true
        void this.#say('was stopped, and stays so')
        this.#resolveStopped()
        return
      }
      if (performance.now() - startedMs > WELL_MS) this.#restartMs = RESTART_MIN_MS
      void this.#say(`ended ${how}; it starts again in ${this.#restartMs / 1000} s`)
      this.#restart = setTimeout(() => this.#start(resolve, reject), this.#restartMs)
      this.#restartMs = Math.min(this.#restartMs * 2, RESTART_MAX_MS)
    })
  }

  async #say(line: string): Promise<void> {
    await this.#context.err.line(`${this.#context.err.style('dim', `broker ${this.#nodeId} |`)} ${line}`)
  }
}

function directoryOf({ dataDirectory }: ClusterOptions, nodeId: number): string {
  return join(resolve(dataDirectory), `broker-${nodeId}`)
}

/** The id in the directories of an earlier run, or a new one. */
async function clusterIdOf(options: ClusterOptions): Promise<string> {
  for (let nodeId = 1; nodeId <= options.brokers; nodeId++) {
    const path = join(directoryOf(options, nodeId), 'meta.properties')
    const text = await readFile(path, 'utf8').catch(() => '')
    const found = /^cluster\.id=(.+)$/m.exec(text)?.[1]
    if (found !== undefined) return found.trim()
  }
  return randomBytes(16).toString('base64url')
}

async function portsFor({ brokers, port, host }: ClusterOptions): Promise<readonly number[]> {
  return port === 0 ? freePorts(brokers, host) : Array.from({ length: brokers }, (_, index) => port + index)
}
