/** What a member of a group keeps of the work in hand. */
import { describe, expect, it } from 'vitest'
import type { Clock } from '../../src/env/clock.ts'
import { Progress } from '../../src/client/group/progress.ts'
import { Prng } from '../../src/env/sim/prng.ts'

const SEED = process.env['SEED'] ?? '1'

describe('Progress', () => {
  it('S2: finds what is in hand for too long at the first look that is due, whatever its time of day is rounded to', () => {
    const random = new Prng(SEED, 'times of day')
    for (let round = 0; round < 1000; round++) {
      const limitMs = random.between(1, 9000) / 3
      let nowMs = random.between(0, 30_000) / 7
      let timer: { readonly atMs: number; readonly task: () => void } | null = null
      const clock: Pick<Clock, 'monotonicMs' | 'after'> = {
        monotonicMs: () => nowMs,
        after: (delayMs, task) => {
          timer = { atMs: nowMs + delayMs, task }
          return () => undefined
        },
      }
      const tooSlow: unknown[] = []
      const progress = new Progress(clock as Clock, limitMs, (owned) => tooSlow.push(owned))
      progress.add({ topic: 't', partition: 0, topicId: 'id' }, 0)
      progress.begin(progress.all()[0]!, 0)
      // A timer may come a hair early: then there is a little left, and a second look at that time.
      for (let looks = 0; looks < 3 && tooSlow.length === 0; looks++) {
        const { atMs, task } = timer!
        nowMs = atMs
        task()
      }
      expect(tooSlow, `SEED=${SEED} round ${round}`).toHaveLength(1)
    }
  })
})
