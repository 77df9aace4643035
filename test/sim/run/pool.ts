/**
 * Processes that run lives: each one life at a time, and after some hundred a fresh one takes its place, so that memory stays
 * bounded and no life depends on thousands before it. One that dies or stands still costs the life that it was at.
 */
import { fork } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import type { LifeSummary, LifeTask } from './lives.ts'
import { lostLife } from './lives.ts'

export interface PoolOptions {
  /** How many processes at once. */
  readonly jobs: number
  /** What they run. */
  readonly workerPath: string
  readonly livesPerProcess?: number
  /** A life that takes longer, in real ms, stands still. */
  readonly lifeMsMax?: number
}

const LIVES_PER_PROCESS = 300
/** A life takes a second or two; on a machine that others use, ten times that. */
const LIFE_MS_MAX = 180_000
/** Objects of a life die young, but live for longer than the small nursery that is the default: a tenth less time in all. */
const NODE_FLAGS = ['--enable-source-maps', '--max-semi-space-size=32']

interface Job {
  readonly task: LifeTask
  readonly resolve: (summary: LifeSummary) => void
}

class Worker {
  readonly process: ChildProcess
  lives = 0
  job: Job | null = null
  timer: NodeJS.Timeout | null = null

  constructor(child: ChildProcess) {
    this.process = child
  }
}

export class LifePool {
  readonly #options: Required<PoolOptions>
  readonly #idle: Worker[] = []
  readonly #all = new Set<Worker>()
  readonly #waiting: Job[] = []
  #isClosed = false

  constructor(options: PoolOptions) {
    this.#options = { livesPerProcess: LIVES_PER_PROCESS, lifeMsMax: LIFE_MS_MAX, ...options }
  }

  /** Runs a life as soon as a process is free; those that were asked for first come first. */
  run = (task: LifeTask): Promise<LifeSummary> => {
    if (this.#isClosed) return Promise.resolve(lostLife(task, 'The run has ended'))
    return new Promise((resolve) => {
      this.#waiting.push({ task, resolve })
      this.#assign()
    })
  }

  /** Ends all processes. Lives under way are lost. */
  close(): void {
    this.#isClosed = true
    for (const { task, resolve } of this.#waiting.splice(0)) resolve(lostLife(task, 'The run has ended'))
    for (const worker of [...this.#all]) this.#retire(worker, 'The run has ended')
  }

  #assign(): void {
    while (this.#waiting.length > 0) {
      const worker = this.#idle.pop() ?? (this.#all.size < this.#options.jobs ? this.#start() : null)
      if (worker === null) return
      const job = this.#waiting.shift()!
      worker.job = job
      worker.lives++
      worker.timer = setTimeout(() => {
        const seconds = this.#options.lifeMsMax / 1000
        this.#retire(worker, `S5: the life has not ended within ${seconds} s of real time`)
      }, this.#options.lifeMsMax)
      worker.process.send(job.task)
    }
  }

  #start(): Worker {
    const child = fork(this.#options.workerPath, {
      serialization: 'advanced', // Maps and Sets as they are
      execArgv: NODE_FLAGS,
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    })
    const worker = new Worker(child)
    this.#all.add(worker)
    child.on('message', (summary: LifeSummary) => this.#finish(worker, summary))
    child.on('error', (error) => this.#retire(worker, `S4: the process of the life failed: ${error.message}`))
    child.on('exit', (code, signal) =>
      this.#retire(worker, `S4: the process of the life ended with ${signal ?? `code ${code}`}`),
    )
    return worker
  }

  #finish(worker: Worker, summary: LifeSummary): void {
    const { job } = worker
    if (job === null) return
    worker.job = null
    clearTimeout(worker.timer!)
    if (worker.lives >= this.#options.livesPerProcess) this.#retire(worker, '')
    else if (!this.#isClosed) this.#idle.push(worker)
    job.resolve(summary)
    this.#assign()
  }

  /** Ends a process; its life, if it is at one, is lost for this reason. */
  #retire(worker: Worker, why: string): void {
    if (!this.#all.delete(worker)) return
    const index = this.#idle.indexOf(worker)
    if (index >= 0) this.#idle.splice(index, 1)
    if (worker.timer !== null) clearTimeout(worker.timer)
    worker.process.kill('SIGKILL')
    const { job } = worker
    worker.job = null
    job?.resolve(lostLife(job.task, why))
    if (!this.#isClosed) this.#assign()
  }
}
