/**
 * Rare paths that lives must take (docs/faults.md section 7, marks): a swarm that never takes one does not test what it says. By
 * what the metadata tells, what nodes log, and how clients' requests end.
 */

export interface Mark {
  readonly name: string
  /** A run of so many seeds must have taken it. */
  readonly withinSeeds: number
  /** And at least so often in each seed on average. Default: once in all. */
  readonly perSeed?: number
}

const USUAL = 10
const RARE = 100

export const MARKS: readonly Mark[] = [
  { name: 'fenced', withinSeeds: USUAL },
  { name: 'in-sync set grew', withinSeeds: USUAL },
  { name: 'in-sync set shrank', withinSeeds: USUAL },
  { name: 'leader changed', withinSeeds: USUAL },
  { name: 'registered again', withinSeeds: USUAL },
  { name: 'info: Cutting a log that has left its leader’s', withinSeeds: USUAL },
  { name: 'warn: Broker is silent: others lead in its place', withinSeeds: USUAL },
  { name: 'info: Controller is active', withinSeeds: USUAL, perSeed: 1 },
  { name: 'producer: acknowledged', withinSeeds: USUAL },
  { name: 'producer: CLIENT_DELIVERY_TIMED_OUT', withinSeeds: USUAL },
  { name: 'operator: created', withinSeeds: USUAL },
  { name: 'operator: deleted', withinSeeds: USUAL },
  { name: 'operator: unknown', withinSeeds: USUAL },
  { name: 'led by an eligible replica', withinSeeds: RARE },
  { name: 'led by the last leader again', withinSeeds: RARE },
]

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

  /** Names of those that a run of this length must have taken, and has not. */
  missing(): readonly string[] {
    return MARKS.filter(({ name, withinSeeds, perSeed = 0 }) => {
      if (this.#seedCount < withinSeeds) return false
      return (this.#counts.get(name) ?? 0) < Math.max(1, perSeed * this.#seedCount)
    }).map(({ name }) => name)
  }

  format(): string {
    return [...this.#counts]
      .map(([name, count]) => `${String(count).padStart(8)} ${name}`)
      .sort()
      .join('\n')
  }
}
