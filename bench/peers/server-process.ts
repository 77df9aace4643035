/**
 * A server of another system in a process of its own.
 *
 * Invariant: a server that was started ends by `stop`, or with the run: `stop` is on the list of what is closed before
 * anything can fail.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { accessSync, constants, existsSync, openSync, readFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { findCpuMs, findResidentSet, resetPeak, type ResidentSet } from '../process-stats.ts'
import type { Measured } from '../usage.ts'
import type { WorkloadContext } from '../workload.ts'

/** A server that does not end in this many ms after it was asked is killed. */
const STOP_MS_MAX = 15_000
/** Last characters of a server's log that an error shows. */
const LOG_SIZE_MAX = 3000

export interface ServerCommand {
  readonly command: string
  readonly commandLine: readonly string[]
  readonly logPath: string
  readonly environment?: Readonly<Record<string, string>>
}

export class ServerProcess {
  readonly pid: number
  readonly #stop: () => Promise<void>
  readonly #logPath: string
  #hasEnded = false

  constructor(context: Pick<WorkloadContext, 'onClose'>, options: ServerCommand) {
    this.#logPath = options.logPath
    const log = openSync(options.logPath, 'a')
    const child = spawn(options.command, options.commandLine, {
      stdio: ['ignore', log, log],
      env: { ...process.env, ...options.environment },
    })
    const ended = once(child, 'exit').finally(() => (this.#hasEnded = true))
    ended.catch(() => undefined) // a command that cannot be run: `requireRunning` tells
    this.pid = child.pid ?? -1
    this.#stop = async () => {
      if (this.#hasEnded) return
      child.kill('SIGTERM')
      const killer = setTimeout(() => child.kill('SIGKILL'), STOP_MS_MAX)
      await ended
      clearTimeout(killer)
    }
    context.onClose(this.#stop)
  }

  /** @throws {Error} With the end of its log, if the server has ended. */
  requireRunning(): void {
    if (!this.#hasEnded) return
    const log = existsSync(this.#logPath) ? readFileSync(this.#logPath, 'utf8').slice(-LOG_SIZE_MAX) : ''
    throw new Error(`Ran a server of another system: it ended\n${log}`)
  }

  stop(): Promise<void> {
    return this.#stop()
  }
}

/** Several servers as one. */
export class ServerGroup implements Measured {
  readonly who = 'brokers'
  readonly #servers: readonly ServerProcess[]

  constructor(servers: readonly ServerProcess[]) {
    this.#servers = servers
  }

  findCpuMs(): number | null {
    const all = this.#servers.map(({ pid }) => findCpuMs(pid))
    return all.includes(null) ? null : all.reduce<number>((sum, value) => sum + value!, 0)
  }

  findResidentSet(): ResidentSet | null {
    const all = this.#servers.map(({ pid }) => findResidentSet(pid))
    if (all.includes(null)) return null
    return {
      bytes: all.reduce((sum, set) => sum + set!.bytes, 0),
      peakBytes: all.reduce((sum, set) => sum + set!.peakBytes, 0),
    }
  }

  resetPeak(): void {
    for (const { pid } of this.#servers) resetPeak(pid)
  }

  requireRunning(): void {
    for (const server of this.#servers) server.requireRunning()
  }

  async stop(): Promise<void> {
    await Promise.all(this.#servers.map((server) => server.stop()))
  }
}

/** Path of a command, as a shell would find it; null when there is none. */
export function findCommand(name: string): string | null {
  // Servers are often installed where only an administrator's path leads.
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/usr/local/sbin']
  for (const folder of folders) {
    const path = join(folder, name)
    try {
      accessSync(path, constants.X_OK)
      return path
    } catch {
      continue // not here
    }
  }
  return null
}
