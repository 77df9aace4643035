/**
 * The thread that wakes `pace` (`pace.ts`): sleeps until the time that is asked for, exact to some ten microseconds, where the
 * event loop's own timers are exact to a millisecond only.
 *
 *   shared := asked: int32 | woken: int32 | dueMs: float64      both count up; each side waits for the other's
 */
import { workerData } from 'node:worker_threads'

const memory = workerData as SharedArrayBuffer
const counts = new Int32Array(memory, 0, 2)
const dueMs = new Float64Array(memory, 8, 1)
const nobody = new Int32Array(new SharedArrayBuffer(4))

for (let asked = 0; ; asked++) {
  Atomics.wait(counts, 0, asked)
  // The threads' clocks have the same pace, and each its own beginning.
  const leftMs = dueMs[0]! - (performance.timeOrigin + performance.now())
  if (leftMs > 0) Atomics.wait(nobody, 0, 0, leftMs)
  Atomics.add(counts, 1, 1)
  Atomics.notify(counts, 1)
}
