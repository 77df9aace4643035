/** Lives that were never lived, for tests of what is told of lives. */
import type { LifeSummary } from './lives.ts'

export function aLife(seed: number, changes: Partial<LifeSummary> = {}): LifeSummary {
  return {
    seed,
    failure: null,
    phase: 'end',
    hash: `hash of ${seed}`,
    events: 1000,
    virtualMs: 60_000,
    cpuMs: 500,
    ackedCount: 100,
    faults: new Map([['crash', 20]]),
    marks: new Map(),
    actCount: 20,
    story: null,
    timeline: null,
    ...changes,
  }
}

export function aFailure(seed: number, failure: string, changes: Partial<LifeSummary> = {}): LifeSummary {
  return aLife(seed, {
    failure,
    phase: 'storm',
    story: {
      weather: `weather of ${seed}`,
      acts: Array.from({ length: 20 }, (_, index) => index),
      producers: 2,
      consumers: 1,
      hasGroup: false,
      stormAtMs: 100,
      stormEndMs: 20_100,
      endMs: 5_000,
      state: 'state of it all',
    },
    timeline: ['    1.000  b1        dies'],
    ...changes,
  })
}
