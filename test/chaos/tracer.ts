/**
 * Faults of the disk, put under a broker that runs (F-EIO, F-FULL, F-SLOW): strace attaches to its process and changes what some
 * system calls return, or when. Nothing is attached before and after, so the broker runs as ever.
 *
 *   broker ──fdatasync──> [ strace ] ──> kernel            EIO: the call is not made; delay: it is, and returns late
 */
import { spawnSync } from 'node:child_process'
import { setTimeout as pause } from 'node:timers/promises'
import { LineProcess } from '../support/child-process.ts'
import type { DiskFault } from './plan.ts'

const SYNCS = 'fdatasync,fsync'
const WRITES = 'pwritev,pwrite64'
/** In µs. */
const SLOW_SYNC_US = 300_000

/** What strace is told, by the fault. */
const INJECTIONS: Readonly<
  Record<Exclude<DiskFault, 'full disk'>, readonly [calls: string, effect: string]>
> = {
  'failing sync': [SYNCS, 'error=EIO'],
  'failing write': [WRITES, 'error=EIO'],
  'no room': [WRITES, 'error=ENOSPC'],
  'slow sync': [SYNCS, `delay_exit=${SLOW_SYNC_US}`],
}

/** Calls under way have ended after this long, in ms. */
const STANDSTILL_MS = 50

const HAS_HIT = /\((INJECTED|DELAYED)\)/

export class Tracer {
  readonly #pid: number
  readonly #strace: LineProcess
  readonly #hit: Promise<boolean>

  private constructor(pid: number, strace: LineProcess) {
    this.#pid = pid
    this.#strace = strace
    this.#hit = strace
      .errLine((line) => HAS_HIT.test(line))
      .then(
        () => true,
        () => false,
      )
  }

  /** Why this machine allows no tracing; null when it does. */
  static get missing(): string | null {
    const probe = spawnSync('strace', ['-f', '-e', 'inject=fdatasync:error=EIO', 'true'], {
      encoding: 'utf8',
    })
    if (probe.status === 0) return null
    return `strace does not work here: ${probe.error?.message ?? probe.stderr.trim().split('\n')[0]}`
  }

  /** Begins to harm a process. */
  static attach(pid: number, fault: Exclude<DiskFault, 'full disk'>): Tracer {
    const [calls, effect] = INJECTIONS[fault]
    const args = ['-f', '-e', `trace=${calls}`, '-e', `inject=${calls}:${effect}`, '-p', String(pid)]
    return new Tracer(pid, new LineProcess('strace', args))
  }

  /** Whether a call was harmed, as soon as one was; false once the process or the tracer has ended without. */
  get hit(): Promise<boolean> {
    return this.#hit
  }

  /**
   * Lets the process go on unharmed. It stands still while strace lets go of it: a call that strace has taken away and not given
   * its result yet would end with ENOSYS, which no disk says.
   */
  async detach(): Promise<void> {
    const isStopped = signal(this.#pid, 'SIGSTOP')
    if (isStopped) await pause(STANDSTILL_MS)
    await this.#strace.kill('SIGINT')
    if (isStopped) signal(this.#pid, 'SIGCONT')
  }
}

/** @returns Whether there is such a process. */
function signal(pid: number, name: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, name)
  } catch {
    return false // It has ended, as a broker does whose disk has failed.
  }
}
