/**
 * The clock port: the only source of time and of delayed work.
 *
 * Invariants every adapter keeps:
 * - `monotonicMs` never goes back; wall time may jump either way (faults.md F-CLK).
 * - Tasks run one at a time, never inside the call that scheduled them.
 * - A delay of any length is honoured: adapters split delays past 2^31-1 ms (faults.md ND-5).
 *
 * @see docs/simulation.md for why everything else about time is banned.
 */

export interface Clock {
  /** Wall clock in ms since the Unix epoch. May jump; only for timestamps that leave the process. */
  wallTimeMs(): number

  /** Monotonic ms (fractional) since an arbitrary origin. For every timeout, deadline and measurement. */
  monotonicMs(): number

  /**
   * Runs `task` once, `delayMs` from now or a little later.
   *
   * @param delayMs - 0 or more; fractions are allowed.
   * @returns Cancels the task; harmless once it ran.
   */
  after(delayMs: number, task: () => void): Cancel

  /**
   * Runs `task` after the input that is ready in this turn of the event loop has been handled, before the loop
   * sleeps. This is the place to gather what one turn produced: one write, one cork, one sync.
   */
  endOfTurn(task: () => void): void
}

/** Undoes what returned it. Calling it twice is harmless. */
export type Cancel = () => void
