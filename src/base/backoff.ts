/**
 * The growing, jittered pause between attempts: it doubles per failure up to a bound and is drawn uniformly from its
 * upper half, so that those who wait for the same thing do not come in step (docs/faults.md, NW-5).
 */

/** Pauses double at most this often: past it the bound has been reached for any sensible pair of settings. */
const DOUBLINGS_MAX = 20
/** Steps in which jitter is drawn. */
const JITTER_STEPS = 1024

export interface BackoffOptions {
  /** Pause after the first failure, in ms. */
  readonly initialMs: number
  readonly maxMs: number
}

/**
 * The pause after `failureCount` failures in a row, at least one, in ms.
 *
 * @param random - As the randomness port: a uniform integer in `[0, bound)`.
 */
export function backoffMs(
  options: BackoffOptions,
  failureCount: number,
  random: { below(bound: number): number },
): number {
  const doublings = Math.min(DOUBLINGS_MAX, Math.max(0, failureCount - 1))
  const fullMs = Math.min(options.maxMs, options.initialMs * 2 ** doublings)
  return fullMs * (0.5 + random.below(JITTER_STEPS) / (2 * JITTER_STEPS))
}
