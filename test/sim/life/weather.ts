/**
 * What a seed draws, all of it before the life begins: how large the cluster is, which kinds of faults there are at all and how
 * often (a swarm, docs/faults.md), and for each single fault its time, its kind and the name of its own stream of draws. So one
 * fault can be left out, and the others stay what they were: that is what makes a failing life shrink.
 */
import type { Prng } from '../../../src/env/sim/prng.ts'
import type { Settings } from '../support/sim-cluster.ts'

/** Faults happen for so long, in virtual ms. */
export const STORM_MS = 11_000

/** One thing that happens to the cluster. */
export interface Act {
  readonly index: number
  /** From the beginning of the storm. */
  readonly atMs: number
  readonly fault: string
}

export interface Weather {
  readonly brokers: number
  readonly replicationFactor: number
  readonly minIsr: number
  readonly topics: number
  readonly partitions: number
  readonly producers: readonly {
    readonly deliveryTimeoutMs: number
    readonly lingerMs: number
    readonly everyMs: number
  }[]
  /** Bytes of one partition that each consumer fetches at most. */
  readonly consumers: readonly number[]
  readonly hasGroup: boolean
  readonly settings: Settings
  /** Kinds of faults. */
  readonly faults: readonly string[]
  readonly everyMs: readonly [number, number]
  readonly acts: readonly Act[]
}

export interface WeatherOptions {
  /** Kinds of faults that there are. */
  readonly faults: readonly string[]
  /** How many lives have a group: it costs as much as all the rest. Default 0.2. */
  readonly groupChance?: number
}

export function anyOf<T>(random: Prng, items: readonly T[]): T {
  return items[random.below(items.length)]!
}

export function drawWeather(random: Prng, { faults: known, groupChance = 0.2 }: WeatherOptions): Weather {
  const brokers = anyOf(random, [3, 3, 4, 5])
  const replicationFactor = anyOf(random, [2, 3, 3, brokers])
  const faults = drawKinds(random, known)
  const everyMs = anyOf(random, [[28, 330], [110, 820], [280, 1650]] as const) // prettier-ignore
  return {
    brokers,
    replicationFactor,
    minIsr: Math.min(replicationFactor, anyOf(random, [1, 2, 2])),
    topics: 1 + random.below(2),
    partitions: 1 + random.below(3),
    producers: Array.from({ length: 2 + random.below(3) }, () => ({
      deliveryTimeoutMs: anyOf(random, [1500, 120_000]),
      lingerMs: anyOf(random, [0, 0, 5]),
      everyMs: anyOf(random, [400, 1500, 4000, 4000]),
    })),
    consumers: Array.from({ length: 1 + random.below(2) }, () => anyOf(random, [200, 100_000])),
    hasGroup: random.chance(groupChance),
    settings: {
      'log.segment.bytes': String(anyOf(random, [1024, 4096, 1_000_000])),
      'log.index.interval.bytes': String(anyOf(random, [0, 500, 4096])),
      'log.tail.cache.bytes': String(anyOf(random, [0, 1000, 1_000_000])),
      // A broker that starts with a clock that is months ahead believes it, and deletes by age: no test for it here.
      'log.retention.ms': '-1',
      'log.retention.check.interval.ms': String(anyOf(random, [500, 300_000])),
      'log.flush.offset.checkpoint.interval.ms': String(anyOf(random, [1000, 5000, 60_000])),
      'metadata.log.max.record.bytes.between.snapshots': String(anyOf(random, [1500, 8_388_608])),
      // Clocks are years apart at times: a producer's may be far ahead of a broker's.
      'log.message.timestamp.after.max.ms': String(2 ** 50),
      'replica.lag.time.max.ms': String(anyOf(random, [300, 700, 1500])),
      'leader.imbalance.check.interval.seconds': String(anyOf(random, [1, 300])),
      'max.incremental.fetch.session.cache.slots': String(anyOf(random, [0, 1, 1000])),
    },
    faults,
    everyMs,
    acts: drawActs(random, faults, everyMs),
  }
}

/** Nothing but one kind, all of them, or some: faults that never meet show less, and so do those that always do. */
function drawKinds(random: Prng, known: readonly string[]): readonly string[] {
  const share = anyOf(random, [0, 0.1, 0.1, 0.2, 0.2, 0.4, 0.4, 1])
  const drawn = known.filter(() => random.chance(share))
  return drawn.length > 0 ? drawn : [anyOf(random, known)]
}

function drawActs(random: Prng, faults: readonly string[], everyMs: readonly [number, number]): Act[] {
  const acts: Act[] = []
  for (let atMs = random.between(...everyMs); atMs < STORM_MS; atMs += random.between(...everyMs))
    acts.push({ index: acts.length, atMs, fault: anyOf(random, faults) })
  return acts
}
