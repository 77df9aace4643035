/**
 * What every adapter of the clock port promises: `src/env/clock.ts` as claims.
 */
import { describe, expect, test } from 'vitest'
import { browserEnv } from '../../src/env/browser/browser-env.ts'
import type { Clock } from '../../src/env/clock.ts'
import { NodeClock } from '../../src/env/node/node-clock.ts'
import { Simulation } from '../../src/env/sim/simulation.ts'

interface Subject {
  readonly clock: Clock
  readonly drive: (story: Promise<void>) => Promise<void>
}

const subjects: Record<string, () => Subject> = {
  node: () => ({ clock: new NodeClock(), drive: (story) => story }),
  browser: () => ({ clock: browserEnv().clock, drive: (story) => story }),
  sim: () => {
    const simulation = new Simulation({ seed: process.env['SEED'] ?? 5 })
    return { clock: simulation.env('a').clock, drive: (story) => simulation.runUntil(story) }
  },
}

for (const [name, make] of Object.entries(subjects)) {
  describe(`Clock (${name})`, () => {
    const story = (claim: string, body: (clock: Clock) => Promise<void>) =>
      test(claim, async () => {
        const { clock, drive } = make()
        await drive(body(clock))
      })
    const sleep = (clock: Clock, delayMs: number) =>
      new Promise<void>((resolve) => void clock.after(delayMs, resolve))

    story('after() is never early, never inside the call, and in order of its delays', async (clock) => {
      const startMs = clock.monotonicMs()
      const order: number[] = []
      const delays = [12, 0, 5.5, 3]
      for (const delay of delays) {
        clock.after(delay, () => {
          expect(clock.monotonicMs() - startMs).toBeGreaterThanOrEqual(delay - 1e-6)
          order.push(delay)
        })
      }
      expect(order).toEqual([])
      await sleep(clock, 30)
      expect(order).toEqual([0, 3, 5.5, 12])
    })

    story('a cancelled task does not run; cancelling twice, or late, is harmless', async (clock) => {
      let runs = 0
      const cancel = clock.after(2, () => runs++)
      const late = clock.after(1, () => runs++)
      cancel()
      cancel()
      await sleep(clock, 10)
      late()
      expect(runs).toBe(1)
    })

    story('ND-5: a delay past 2^31-1 ms does not fire at once', async (clock) => {
      let fired = false
      const cancel = clock.after(2 ** 31 + 1000, () => {
        fired = true
      })
      await sleep(clock, 10)
      expect(fired).toBe(false)
      cancel()
    })

    story(
      'endOfTurn() runs its tasks together, in order, after this turn and its promises',
      async (clock) => {
        const order: string[] = []
        clock.endOfTurn(() => order.push('first'))
        clock.endOfTurn(() => {
          order.push('second')
          clock.endOfTurn(() => order.push('next turn'))
        })
        await Promise.resolve()
        await Promise.resolve()
        order.push('promises')
        await new Promise<void>((resolve) => clock.endOfTurn(resolve))
        expect(order).toEqual(['promises', 'first', 'second'])
        await new Promise<void>((resolve) => clock.endOfTurn(resolve))
        expect(order.at(-1)).toBe('next turn')
      },
    )

    story('monotonicMs() never goes back, wallTimeMs() is whole and of this era', async (clock) => {
      let last = clock.monotonicMs()
      for (let read = 0; read < 1000; read++) {
        const now = clock.monotonicMs()
        expect(now).toBeGreaterThanOrEqual(last)
        last = now
      }
      expect(Number.isInteger(clock.wallTimeMs())).toBe(true)
      expect(clock.wallTimeMs()).toBeGreaterThan(1_700_000_000_000)
    })
  })
}
