/**
 * An open loop: calls are made when they are due, whatever became of those before. Between them the process sleeps, so that
 * the cores belong to what is measured, as they would beside a real program. A thread wakes it a little before a call is due
 * (`metronome.ts`), since timers of the event loop are exact to a millisecond only; from there on the loop turns, so that
 * what is late is what the machine could not do in time.
 */
/// <reference lib="es2024.sharedmemory" />
import { extname } from 'node:path'
import { Worker } from 'node:worker_threads'

/** So long before a call is due the process is awake. Waking takes some 50 µs on an idle machine. */
const AHEAD_MS = 0.1

/** Calls `send` for every index below `count` when it is due, all that are due in one turn. */
export async function pace(
  count: number,
  dueMs: (index: number) => number,
  send: (index: number) => void,
): Promise<void> {
  const metronome = new Metronome()
  try {
    for (let next = 0; next < count;) {
      while (next < count && dueMs(next) <= performance.now()) send(next++)
      if (next < count) await metronome.sleepUntil(dueMs(next) - AHEAD_MS)
    }
  } finally {
    await metronome.stop()
  }
}

class Metronome {
  readonly #memory = new SharedArrayBuffer(16)
  readonly #counts = new Int32Array(this.#memory, 0, 2)
  readonly #dueMs = new Float64Array(this.#memory, 8, 1)
  readonly #thread = new Worker(new URL(`./metronome${extname(import.meta.url)}`, import.meta.url), {
    workerData: this.#memory,
  })
  #wokenCount = 0

  /** Resolves at `dueMs` of this thread's clock or soon after; in the next turn of the loop if that has passed. */
  async sleepUntil(dueMs: number): Promise<void> {
    if (dueMs <= performance.now()) {
      await new Promise((resolve) => setImmediate(resolve))
      return
    }
    this.#dueMs[0] = performance.timeOrigin + dueMs
    Atomics.add(this.#counts, 0, 1)
    Atomics.notify(this.#counts, 0)
    const waiting = Atomics.waitAsync(this.#counts, 1, this.#wokenCount++)
    if (waiting.async) await waiting.value
  }

  async stop(): Promise<void> {
    await this.#thread.terminate()
  }
}
