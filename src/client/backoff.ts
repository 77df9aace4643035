/**
 * Waiting in the client: delays that a signal ends, and the growing, jittered pause between attempts.
 *
 * The pause doubles per attempt up to a bound and is drawn uniformly from its upper half, so that the clients of a
 * broker that comes back do not come in step (docs/faults.md, NW-5).
 */
import type { Clock, Random } from '../env/index.ts'
import { abortedError } from './client-error.ts'

/** Pauses double at most this often: past it the bound has been reached for any sensible pair of settings. */
const DOUBLINGS_MAX = 20
/** Steps in which jitter is drawn. */
const JITTER_STEPS = 1024

export interface BackoffOptions {
  /** Pause after the first failure, in ms. */
  readonly initialMs: number
  readonly maxMs: number
}

/** The pause after `failureCount` failures in a row, at least one, in ms. */
export function backoffMs(options: BackoffOptions, failureCount: number, random: Random): number {
  const doublings = Math.min(DOUBLINGS_MAX, Math.max(0, failureCount - 1))
  const fullMs = Math.min(options.maxMs, options.initialMs * 2 ** doublings)
  return fullMs * (0.5 + random.below(JITTER_STEPS) / (2 * JITTER_STEPS))
}

/**
 * Resolves after `delayMs`.
 *
 * @throws {ClientError} `CLIENT_ABORTED`.
 */
export function pause(clock: Clock, delayMs: number, attempted: string, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted === true) {
      reject(abortedError(attempted, signal))
      return
    }
    const onAbort = (): void => {
      cancel()
      reject(abortedError(attempted, signal!))
    }
    const cancel = clock.after(delayMs, () => {
      signal?.removeEventListener('abort', onAbort)
      resolve()
    })
    signal?.addEventListener('abort', onAbort, { once: true })
  })
}

/**
 * Settles as `promise` does, or when the signal fires. What the promise does then goes unheard.
 *
 * @throws {ClientError} `CLIENT_ABORTED`.
 */
export function abortable<T>(promise: Promise<T>, attempted: string, signal?: AbortSignal): Promise<T> {
  if (signal === undefined) return promise
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(abortedError(attempted, signal))
    if (signal.aborted) onAbort()
    signal.addEventListener('abort', onAbort, { once: true })
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort))
  })
}
