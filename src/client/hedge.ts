/**
 * Asks several in turn, the next one as soon as one failed or has been silent for a while, and takes the first answer: a
 * peer that hangs costs that while, not its time-out.
 */
import type { Cancel, Clock } from '../env/index.ts'
import { toError } from './client-error.ts'

export type Hedged<T> =
  | { readonly kind: 'answered'; readonly value: T }
  /** By the place of the attempt. */
  | { readonly kind: 'failed'; readonly errors: readonly Error[] }

/**
 * @param attempts - At least one. Those that were begun go on when another one has answered; nobody hears of them.
 * @param staggerMs - Silence of the last attempt after which the next begins.
 */
export function hedged<T>(
  clock: Clock,
  attempts: readonly (() => Promise<T>)[],
  staggerMs: number,
): Promise<Hedged<T>> {
  return new Promise((resolve) => {
    const errors: Error[] = []
    let begunCount = 0
    let failedCount = 0
    let isDone = false
    let cancelTimer: Cancel = () => undefined
    const settle = (outcome: Hedged<T>): void => {
      isDone = true
      cancelTimer()
      resolve(outcome)
    }
    const beginNext = (): void => {
      cancelTimer()
      if (isDone || begunCount === attempts.length) return
      const place = begunCount++
      if (begunCount < attempts.length) cancelTimer = clock.after(staggerMs, beginNext)
      attempts[place]!().then(
        (value) => {
          if (!isDone) settle({ kind: 'answered', value })
        },
        (thrown: unknown) => {
          errors[place] = toError(thrown)
          failedCount++
          if (isDone) return
          if (failedCount === attempts.length) settle({ kind: 'failed', errors })
          else beginNext()
        },
      )
    }
    beginNext()
  })
}
