/** How far a run is: one line that is written over on a terminal, a line now and then elsewhere. */
import { humanCount, humanDuration } from '../../../cli/human.ts'
import type { Tally } from './tally.ts'

export interface ProgressOptions {
  readonly write: (text: string) => void
  readonly isTty: boolean
  readonly columns?: number
  /** Monotonic, in ms. */
  readonly now: () => number
}

/** On a terminal, for the eye; elsewhere, so that a log stays short. */
const EVERY_MS = { terminal: 200, plain: 15_000 }
const ERASE = '\r\x1b[2K'

export class Progress {
  readonly #options: ProgressOptions
  readonly #startMs: number
  #lastMs: number
  #isShown = false

  constructor(options: ProgressOptions) {
    this.#options = options
    this.#startMs = options.now()
    this.#lastMs = this.#startMs
  }

  /** @param seeds - How many there will be; null: nobody knows. */
  update(tally: Tally, seeds: number | null): void {
    const { isTty, now, write, columns = 120 } = this.#options
    const nowMs = now()
    if (nowMs - this.#lastMs < (isTty ? EVERY_MS.terminal : EVERY_MS.plain)) return
    this.#lastMs = nowMs
    const text = describeProgress(tally, seeds, nowMs - this.#startMs)
    if (isTty) write(`${ERASE}${text.slice(0, columns - 1)}`)
    else write(`${text}\n`)
    this.#isShown = isTty
  }

  /** Takes the line away, so that something can be printed in its place. */
  clear(): void {
    if (this.#isShown) this.#options.write(ERASE)
    this.#isShown = false
  }
}

export function describeProgress(tally: Tally, seeds: number | null, realMs: number): string {
  const { lives, failed, virtualMs } = tally
  const parts = [
    seeds === null ? `${humanCount(lives)} lives` : `${humanCount(lives)} of ${humanCount(seeds)} lives`,
  ]
  parts.push(failed === 0 ? 'none failed' : `${humanCount(failed)} FAILED`)
  parts.push(`${(virtualMs / 3_600_000).toFixed(2)} h simulated`)
  parts.push(`${Math.round(virtualMs / Math.max(1, realMs))}× real time`)
  if (seeds !== null && lives > 0 && lives < seeds)
    parts.push(`${humanDuration(((seeds - lives) * realMs) / lives)} left`)
  return parts.join(', ')
}
