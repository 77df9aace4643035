/**
 * Decides whether the disk answers fast enough to be called on the main thread.
 *
 * A write into the page cache takes 4 to 16 µs as a synchronous call and 25 to 40 µs more, at 3 to 7 times the CPU,
 * through the threadpool (limits-and-peers.md A1f). But when the kernel throttles a writer, or pages are cold, a
 * synchronous call stalls every connection of the broker. So: an exponentially weighted time per call, scaled to
 * the bytes it moved; above one threshold the next calls go to the threadpool, below a lower one they come back.
 * Calls through the threadpool are measured too, hop and queue included, so that it notices either way.
 */

/** Calls above this size count in proportion: bytes cost time on any disk. */
const UNIT_BYTES = 256 * 1024
/** ms per call (of up to 256 KiB) from which the loop is left free: ten times what new pages cost at their worst. */
const SLOW_MS = 2
/** ms per call below which calls are made on the main thread again; above what a threadpool hop alone takes. */
const FAST_MS = 1
/** Of the last call against all before it: some eight calls decide. */
const WEIGHT = 1 / 8
/** A longer call counts as this long, so that one stall is not remembered for hundreds of calls. */
const SAMPLE_MS_MAX = 50

export class DiskGauge {
  #averageMs = 0
  #isFast = true

  /** Whether the next call may be made on the main thread. */
  get isFast(): boolean {
    return this.#isFast
  }

  record(elapsedMs: number, bytes: number): void {
    const sampleMs = Math.min(SAMPLE_MS_MAX, elapsedMs / Math.max(1, bytes / UNIT_BYTES))
    this.#averageMs += (sampleMs - this.#averageMs) * WEIGHT
    if (this.#averageMs > SLOW_MS) this.#isFast = false
    else if (this.#averageMs < FAST_MS) this.#isFast = true
  }
}
