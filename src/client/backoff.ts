/**
 * Waiting in the client: delays that a signal ends. How long to wait between attempts is `base/backoff.ts`'s to say.
 */
import { onAbort } from '../base/on-abort.ts'
import type { Clock } from '../env/index.ts'
import { abortedError } from './client-error.ts'

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
    const cancel = clock.after(delayMs, () => {
      forget()
      resolve()
    })
    const forget = onAbort(signal, () => {
      cancel()
      reject(abortedError(attempted, signal!))
    })
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
    const giveUp = (): void => reject(abortedError(attempted, signal))
    if (signal.aborted) giveUp()
    promise.then(resolve, reject).finally(onAbort(signal, giveUp))
  })
}
