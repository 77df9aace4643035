/**
 * A part of a benchmark in a process of its own: a load generator, or the other end of a wire. It must not share the
 * event loop with what is measured.
 *
 * `Worker.start('wire-peer', parameters)` forks `worker-main.ts`, which looks the task up in `tasks.ts`. The task
 * opens what it needs and gives back named methods; `call` runs one and returns its result. Messages are structured
 * clones, so histograms' data and byte arrays pass.
 *
 * Invariants: a call settles: with the method's result, its error, or an error that tells how the process died and
 * what it wrote. A worker ends with its parent, because its channel closes.
 */
import { fork, type ChildProcess } from 'node:child_process'
import { extname } from 'node:path'
import { finished } from 'node:stream'
import { fileURLToPath } from 'node:url'
import type { TaskName } from './tasks.ts'

/** A method of a task: one argument in, one result out, both cloneable. */
export type TaskMethod = (argument: never) => unknown

/** Opens what a task needs, and returns what its parent may call. */
export type Task = (parameters: never) => Promise<Readonly<Record<string, TaskMethod>>>

/** Parent to child. The first call, number 0, opens the task. */
export interface CallMessage {
  readonly call: number
  readonly method: string
  readonly argument: unknown
}

/** Child to parent. */
export type AnswerMessage =
  | { readonly call: number; readonly kind: 'result'; readonly result: unknown }
  | { readonly call: number; readonly kind: 'error'; readonly message: string }

interface Waiting {
  readonly resolve: (result: unknown) => void
  readonly reject: (error: Error) => void
}

/** How a worker's process runs. */
export interface WorkerOptions {
  /** Flags of Node, such as those that record a profile. */
  readonly nodeFlags?: readonly string[]
}

/** Last bytes of a worker's standard error that an error message shows. */
const STDERR_BYTES_MAX = 4096
/** A worker that has not ended this many ms after its channel closed is killed; writing a profile takes a while. */
const STOP_MS_MAX = 10_000

export class Worker {
  readonly #process: ChildProcess
  readonly #waiting = new Map<number, Waiting>()
  readonly #ended: Promise<void>
  #callCount = 0
  #stderr = ''
  #end: Error | null = null

  private constructor(task: TaskName, { nodeFlags = [] }: WorkerOptions) {
    const main = fileURLToPath(new URL(`./worker-main${extname(import.meta.url)}`, import.meta.url))
    this.#process = fork(main, [task], {
      serialization: 'advanced',
      execArgv: [...process.execArgv, ...nodeFlags],
      stdio: ['ignore', 'inherit', 'pipe', 'ipc'],
    })
    this.#process.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr = (this.#stderr + text).slice(-STDERR_BYTES_MAX)
    })
    this.#process.on('message', (message) => this.#onAnswer(message as AnswerMessage))
    this.#ended = new Promise((resolve) => {
      const onEnd = (how: string) => {
        this.#end ??= new Error(`Ran the benchmark worker ${task}: it ended with ${how}\n${this.#stderr}`)
        for (const { reject } of this.#waiting.values()) reject(this.#end)
        this.#waiting.clear()
        resolve()
      }
      this.#process.on('error', (error) => onEnd(error.message))
      // The event `close` does not come once this side closed the channel: exit and the end of the text are awaited.
      this.#process.on('exit', (code, signal) => {
        finished(this.#process.stderr!, () => onEnd(signal ?? `code ${String(code)}`))
      })
    })
  }

  /** Starts a process and resolves when its task is open. */
  static async start(task: TaskName, parameters: unknown, options: WorkerOptions = {}): Promise<Worker> {
    const worker = new Worker(task, options)
    try {
      await worker.call('open', parameters)
      return worker
    } catch (error) {
      await worker.stop()
      throw error
    }
  }

  /** Runs a method of the task in its process. The caller says what type the method returns. */
  call(method: string, argument?: unknown): Promise<unknown> {
    if (this.#end) return Promise.reject(this.#end)
    const message: CallMessage = { call: this.#callCount++, method, argument }
    return new Promise((resolve, reject) => {
      this.#waiting.set(message.call, { resolve, reject })
      this.#process.send(message)
    })
  }

  /** Closes the channel, upon which the process ends; kills it if it does not. */
  async stop(): Promise<void> {
    if (this.#process.connected) this.#process.disconnect()
    const killer = setTimeout(() => this.#process.kill('SIGKILL'), STOP_MS_MAX)
    await this.#ended
    clearTimeout(killer)
  }

  /** Ends the process as a crash would: it says good-bye to nobody. */
  async kill(): Promise<void> {
    this.#process.kill('SIGKILL')
    await this.#ended
  }

  #onAnswer(answer: AnswerMessage): void {
    const waiting = this.#waiting.get(answer.call)
    this.#waiting.delete(answer.call)
    if (answer.kind === 'result') waiting?.resolve(answer.result)
    else waiting?.reject(new Error(answer.message))
  }
}
