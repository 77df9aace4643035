/**
 * What a run does to its cluster, all of it drawn from the seed before the cluster starts: acts, in rounds. The acts of a round
 * happen at the same time, to different brokers. Counts are kept exactly; order, victims, kinds and times are drawn. Who is
 * leader or controller is known only when an act begins, so a victim is drawn as a role.
 */
import { Prng } from '../../src/env/sim/prng.ts'

/** How many of each kind there are at least. */
export interface Counts {
  /** `kill -9`, processes. */
  readonly kills: number
  /** SIGSTOP for longer than the session. */
  readonly pauses: number
  /** Clean stops and starts. */
  readonly restarts: number
  /** Cuts, every other one in one direction only. */
  readonly partitions: number
  /** Resets, delays, slivers, half-open connections. */
  readonly networkFaults: number
  /** Failing, full and slow disks. */
  readonly diskFaults: number
  /** Times that files of a stopped broker are damaged. */
  readonly corruptions: number
  /** Disks that lose what was not synced, each with its broker. */
  readonly powerCuts: number
}

/** What this machine lets us do. */
export interface Means {
  /** strace may attach to brokers. */
  readonly hasTracer: boolean
  /** Each broker has a file system of its own. */
  readonly hasDisks: boolean
}

export interface Victim {
  readonly role: 'leader' | 'controller' | 'any'
  /** Which leader, and who else if that one is taken. */
  readonly draw: number
}

export const CUTS = ['peers', 'all', 'clients', 'out', 'in'] as const
/** From whom a broker is cut off; `out` and `in`: from other brokers, in what it sends or in what it is sent. */
export type Cut = (typeof CUTS)[number]

export type DiskFault = 'failing sync' | 'failing write' | 'no room' | 'slow sync' | 'full disk'
export type NetworkFault = 'reset' | 'delay' | 'slivers' | 'half-open'
export type Damage = 'bits' | 'indexes' | 'checkpoints'

export type Act =
  | { readonly kind: 'kill'; readonly victim: Victim; readonly holdMs: number; readonly times: 1 | 2 }
  | { readonly kind: 'kill all'; readonly holdMs: number }
  | { readonly kind: 'pause'; readonly victim: Victim; readonly holdMs: number }
  | { readonly kind: 'restart'; readonly victim: Victim; readonly holdMs: number }
  | { readonly kind: 'partition'; readonly victim: Victim; readonly holdMs: number; readonly cut: Cut }
  | {
      readonly kind: 'network'
      readonly victim: Victim
      readonly holdMs: number
      readonly fault: NetworkFault
    }
  | { readonly kind: 'disk'; readonly victim: Victim; readonly holdMs: number; readonly fault: DiskFault }
  | { readonly kind: 'corruption'; readonly victim: Victim; readonly damage: Damage; readonly seed: number }
  | { readonly kind: 'power cut'; readonly victim: Victim }
  | { readonly kind: 'power cut of all' }

/** What is waited for behind a round: nothing, some acknowledgements, or that all replicas are in sync. */
export type Settling = 'none' | 'acks' | 'in sync'

export interface Round {
  readonly acts: readonly Act[]
  /** Others of the round begin so much later, in ms. */
  readonly staggerMs: number
  readonly settling: Settling
}

export interface PlanOptions {
  readonly seed: number
  readonly brokers: number
  readonly counts: Counts
  readonly means: Means
  readonly sessionMs: number
}

const HOLD_MS_MAX = 1200
/** Beyond the session, in ms: others have taken over by then, or are about to. */
const PAUSE_BEYOND_MS = [100, 800] as const

export function drawRounds(options: PlanOptions): readonly Round[] {
  const random = new Prng(String(options.seed), 'chaos')
  const acts = shuffled(random, drawActs(random, options))
  const rounds: Round[] = []
  while (acts.length > 0) {
    const first = acts.pop()!
    const together = [first]
    if (!standsAlone(first)) {
      const width = options.brokers < 5 ? (random.chance(0.3) ? 2 : 1) : 2 + random.below(2)
      while (together.length < width && acts.length > 0 && !standsAlone(acts.at(-1)!))
        together.push(acts.pop()!)
    }
    const isLast = acts.length === 0
    const needsWhole = first.kind === 'corruption' || acts.at(-1)?.kind === 'corruption'
    const settling = random.pick<Settling>(['none', 'none', 'acks', 'acks', 'in sync'])
    rounds.push({
      acts: together,
      staggerMs: random.below(300),
      settling: needsWhole || isLast ? 'in sync' : settling,
    })
  }
  return rounds
}

/** Damage may come to a minority only; what concerns all brokers leaves none for others. */
function standsAlone({ kind }: Act): boolean {
  return kind === 'corruption' || kind === 'kill all' || kind === 'power cut of all'
}

function drawActs(random: Prng, { counts, means, brokers, sessionMs }: PlanOptions): Act[] {
  const acts: Act[] = []
  const holdMs = (): number => random.below(HOLD_MS_MAX)
  const victim = (): Victim => ({
    role: random.pick<Victim['role']>(['leader', 'leader', 'leader', 'controller', 'any']),
    draw: random.below(2 ** 16),
  })
  drawKills(random, counts.kills, brokers, (times) =>
    acts.push(
      times === 'all'
        ? { kind: 'kill all', holdMs: random.below(300) }
        : { kind: 'kill', victim: victim(), holdMs: holdMs(), times },
    ),
  )
  for (let index = 0; index < counts.pauses; index++)
    acts.push({ kind: 'pause', victim: victim(), holdMs: sessionMs + random.between(...PAUSE_BEYOND_MS) })
  for (let index = 0; index < counts.restarts; index++)
    acts.push({ kind: 'restart', victim: victim(), holdMs: random.below(500) })
  for (let index = 0; index < counts.partitions; index++) {
    const cut =
      index % 2 === 0 ? random.pick<Cut>(['out', 'in']) : random.pick<Cut>(['peers', 'all', 'clients'])
    acts.push({ kind: 'partition', victim: victim(), holdMs: 300 + random.below(sessionMs + 700), cut })
  }
  for (let index = 0; index < counts.networkFaults; index++) {
    const fault = random.pick<NetworkFault>(['reset', 'delay', 'slivers', 'half-open'])
    acts.push({ kind: 'network', victim: victim(), holdMs: holdMs(), fault })
  }
  const diskFaults: DiskFault[] = [
    ...(means.hasTracer
      ? (['failing sync', 'failing write', 'no room', 'slow sync', 'slow sync'] as const)
      : []),
    ...(means.hasDisks ? (['full disk'] as const) : []),
  ]
  for (let index = 0; diskFaults.length > 0 && index < counts.diskFaults; index++) {
    const fault = diskFaults[random.below(diskFaults.length)]!
    acts.push({ kind: 'disk', victim: victim(), holdMs: 300 + holdMs(), fault })
  }
  for (let index = 0; index < counts.corruptions; index++) {
    const damage = (['bits', 'indexes', 'checkpoints'] as const)[index % 3]!
    acts.push({ kind: 'corruption', victim: victim(), damage, seed: random.below(2 ** 31) })
  }
  for (let left = means.hasDisks ? counts.powerCuts : 0; left > 0;) {
    const isOfAll = left >= brokers && random.chance(0.5)
    acts.push(isOfAll ? { kind: 'power cut of all' } : { kind: 'power cut', victim: victim() })
    left -= isOfAll ? brokers : 1
  }
  return acts
}

/** Of one, of one that dies again on its way up, or of all at once. */
function drawKills(random: Prng, count: number, brokers: number, add: (times: 1 | 2 | 'all') => void): void {
  for (let left = count; left > 0;) {
    const lot = random.below(10)
    const times = lot === 0 && left >= brokers ? 'all' : lot <= 3 && left >= 2 ? 2 : 1
    add(times)
    left -= times === 'all' ? brokers : times
  }
}

function shuffled<T>(random: Prng, items: T[]): T[] {
  for (let index = items.length - 1; index > 0; index--) {
    const other = random.below(index + 1)
    ;[items[index], items[other]] = [items[other]!, items[index]!]
  }
  return items
}
