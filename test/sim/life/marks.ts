/**
 * Rare paths that lives must take (docs/faults.md section 7, marks): a swarm that never takes one does not test what it says. By
 * what the metadata tells, what nodes log, and how clients' requests end.
 */
import type { Said } from '../support/sim-cluster.ts'

export interface Mark {
  readonly name: string
  /** A run of so many seeds must have taken it. */
  readonly withinSeeds: number
  /** And at least so often in each seed on average. Default: once in all. */
  readonly perSeed?: number
  /** Needs lives with a group, as many as there usually are. */
  readonly ofGroups?: boolean
}

const USUAL_GROUP_CHANCE = 0.2
const USUAL = 10
const RARE = 100
const VERY_RARE = 1000

/** By invariants.ts and the like, as they see it; `level: message`, as nodes log it; `producer:` and others, as clients see it. */
export const MARKS: readonly Mark[] = [
  { name: 'fenced', withinSeeds: USUAL },
  { name: 'in-sync set grew', withinSeeds: USUAL },
  { name: 'in-sync set shrank', withinSeeds: USUAL },
  { name: 'leader changed', withinSeeds: USUAL },
  { name: 'registered again', withinSeeds: USUAL },
  { name: 'led by an eligible replica', withinSeeds: RARE },
  { name: 'led by the last leader again', withinSeeds: RARE },
  { name: 'warn: Broker is silent: others lead in its place', withinSeeds: USUAL },
  { name: 'info: Controller is active', withinSeeds: USUAL, perSeed: 1 },
  { name: 'info: Controller is inactive', withinSeeds: USUAL },
  { name: 'pre-vote refused', withinSeeds: USUAL },
  { name: 'vote refused', withinSeeds: USUAL },
  { name: 'info: Cutting the metadata log: it has left the leader’s', withinSeeds: RARE },
  { name: 'debug: Metadata snapshot is written', withinSeeds: USUAL },
  { name: 'info: Metadata snapshot of the leader is in place of the log', withinSeeds: RARE },
  {
    name: 'info: The last stop was not a clean one: logs are checked from their recovery points',
    withinSeeds: USUAL,
  },
  {
    name: 'warn: Cut the end of a log after an unclean stop: it was never flushed, and is not sound',
    withinSeeds: RARE,
  },
  { name: 'debug: Folded the producers of a log from its batches', withinSeeds: USUAL },
  { name: 'info: Cutting a log that has left its leader’s', withinSeeds: USUAL },
  { name: 'cut across two leader epochs or more', withinSeeds: VERY_RARE },
  { name: 'info: A change of the in-sync replicas was refused', withinSeeds: RARE },
  { name: 'producer: acknowledged', withinSeeds: USUAL },
  { name: 'producer: CLIENT_DELIVERY_TIMED_OUT', withinSeeds: USUAL },
  { name: 'operator: created', withinSeeds: USUAL },
  { name: 'operator: deleted', withinSeeds: USUAL },
  { name: 'operator: unknown', withinSeeds: USUAL },
  { name: 'group: handled', withinSeeds: RARE, ofGroups: true },
  { name: 'group: revoked', withinSeeds: RARE, ofGroups: true },
  { name: 'group: lost', withinSeeds: RARE, ofGroups: true },
  { name: 'info: Loaded a shard of the group coordinator', withinSeeds: RARE, ofGroups: true },
  { name: 'info: Member removed from its group: out of time', withinSeeds: RARE, ofGroups: true },
  { name: 'links: lost unseen', withinSeeds: RARE },
  { name: 'links: flapping', withinSeeds: RARE },
  { name: 'links: ring of majorities', withinSeeds: RARE },
  { name: 'links: clients cut off', withinSeeds: RARE },
  { name: 'disk: fails once', withinSeeds: RARE },
  { name: 'disk: fails for good', withinSeeds: RARE },
  { name: 'rot in a segment: made', withinSeeds: RARE },
  { name: 'rot under a running broker: made', withinSeeds: VERY_RARE },
  { name: 'rot in what is derived: made', withinSeeds: RARE },
  { name: 'rot in metadata: made', withinSeeds: RARE },
  { name: 'rot: found by an operator', withinSeeds: RARE },
  { name: 'refused to start: QUORUM_STATE_CORRUPT', withinSeeds: VERY_RARE },
  { name: 'lost disk: made', withinSeeds: RARE },
  { name: 'old disk: made', withinSeeds: RARE },
  { name: 'vote: given to a new disk', withinSeeds: RARE },
  { name: 'move replicas: done', withinSeeds: RARE },
  { name: 'preferred leader elected', withinSeeds: RARE },
  { name: 'change min.insync.replicas: done', withinSeeds: RARE },
  { name: 'change voters: done', withinSeeds: RARE },
  { name: 'join: done', withinSeeds: RARE },
  { name: 'decommission: gone', withinSeeds: VERY_RARE },
  { name: 'roll settings: done', withinSeeds: RARE },
  { name: 'topic grew', withinSeeds: RARE },
  { name: 'topic made again', withinSeeds: RARE },
  { name: 'records expired by size', withinSeeds: VERY_RARE },
  { name: 'hostile: answered', withinSeeds: RARE },
  { name: 'hostile: cut off', withinSeeds: RARE },
  { name: 'hostile: a copy is known', withinSeeds: VERY_RARE },
]

/** Told where debugging is on alone, and rare enough to be counted. */
const TOLD_BY_DEBUG: ReadonlySet<string> = new Set([
  'Folded the producers of a log from its batches',
  'Metadata snapshot is written',
])
/** What differs from place to place, in messages that name one: node 3, 5000 ms, ws://b1:9092. */
const PLACES = /\bws:\/\/\S+|\d+/g

/** The paths that a line tells of. */
export function marksOf({ level, message, fields }: Said): readonly string[] {
  if (message === 'Refused a vote')
    return [fields['isPreVote'] === true ? 'pre-vote refused' : 'vote refused']
  if (level === 'debug' && !TOLD_BY_DEBUG.has(message)) return []
  const name = `${level}: ${message.replace(PLACES, '#')}`
  return message.startsWith('Cutting a log') && Number(fields['epochs']) >= 2
    ? [name, 'cut across two leader epochs or more']
    : [name]
}

/** How often each path was taken over a run of seeds. */
export class MarkCounts {
  readonly #counts = new Map<string, number>()
  #seedCount = 0

  /** Adds one life's, or another run's. */
  add(marks: ReadonlyMap<string, number>, seeds = 1): void {
    this.#seedCount += seeds
    for (const [name, count] of marks) this.#counts.set(name, (this.#counts.get(name) ?? 0) + count)
  }

  get counts(): ReadonlyMap<string, number> {
    return this.#counts
  }

  /**
   * Names of those that a run of this length must have taken, and has not.
   *
   * @param groupChance - How many of its lives had a group. Default: as many as there usually are.
   */
  missing(groupChance = USUAL_GROUP_CHANCE): readonly string[] {
    return MARKS.filter(({ name, withinSeeds, perSeed = 0, ofGroups = false }) => {
      if (this.#seedCount < withinSeeds || (ofGroups && groupChance < USUAL_GROUP_CHANCE)) return false
      return (this.#counts.get(name) ?? 0) < Math.max(1, perSeed * this.#seedCount)
    }).map(({ name }) => name)
  }

  /** A line for each, the rare ones first. */
  format(): string {
    return [...this.#counts]
      .sort((a, b) => a[1] - b[1])
      .map(([name, count]) => `${String(count).padStart(8)} ${name}`)
      .join('\n')
  }

  /** Those that a run must have, the rare ones first. */
  formatWanted(): string {
    return MARKS.map(({ name }) => ({ name, count: this.#counts.get(name) ?? 0 }))
      .sort((a, b) => a.count - b.count)
      .map(({ name, count }) => `${String(count).padStart(8)} ${name}`)
      .join('\n')
  }
}
