/**
 * Where the replicas of a topic's partitions should be, so that every broker holds about as many and leads about as many, with
 * few moves: `topic reassign --spread`. Pure.
 *
 *   1. what is on a broker that may not hold any goes; what is missing is added; what is too much is taken off the fullest
 *   2. while two brokers differ by more than one replica, one moves from the fuller to the emptier
 *   3. the first replica of each, its preferred leader, is chosen so that leaderships differ little, too
 *
 * Replicas of one partition are in as many racks as there are; only then is it counted who holds how many.
 */

export interface SpreadBroker {
  readonly id: number
  readonly rack: string | null
  /** Replicas of other topics that it holds: decides between equals. */
  readonly otherReplicas: number
}

/**
 * @param current - Broker ids by partition, the preferred leader first.
 * @param brokers - Those that may hold replicas; at least `replicationFactor`.
 * @returns Broker ids by partition, in the same order.
 */
export function spread(
  current: readonly (readonly number[])[],
  brokers: readonly SpreadBroker[],
  replicationFactor: number,
): readonly (readonly number[])[] {
  const places = new Places(brokers)
  const plan = current.map((replicas) => replicas.filter((id) => places.allows(id)))
  for (const replicas of plan) for (const id of replicas) places.add(id, 1)
  for (const replicas of plan) {
    while (replicas.length > replicationFactor) {
      const [fullest] = places.byLoad(replicas).slice(-1)
      replicas.splice(replicas.indexOf(fullest!), 1)
      places.add(fullest!, -1)
    }
    while (replicas.length < replicationFactor) {
      const best = places.bestFor(replicas)
      replicas.push(best)
      places.add(best, 1)
    }
  }
  level(plan, places)
  return withLeaders(plan, brokers)
}

class Places {
  readonly #brokers: ReadonlyMap<number, SpreadBroker>
  /** Replicas of the plan. */
  readonly #loads: Map<number, number>

  constructor(brokers: readonly SpreadBroker[]) {
    this.#brokers = new Map(brokers.map((broker) => [broker.id, broker]))
    this.#loads = new Map(brokers.map(({ id }) => [id, 0]))
  }

  get ids(): number[] {
    return [...this.#brokers.keys()]
  }

  allows(id: number): boolean {
    return this.#brokers.has(id)
  }

  load(id: number): number {
    return this.#loads.get(id)!
  }

  add(id: number, count: number): void {
    this.#loads.set(id, this.load(id) + count)
  }

  /** From the emptiest to the fullest. */
  byLoad(ids: readonly number[]): number[] {
    const other = (id: number): number => this.#brokers.get(id)!.otherReplicas
    return ids.toSorted((a, b) => this.load(a) - this.load(b) || other(a) - other(b) || a - b)
  }

  /** Racks that a set of replicas is in; a broker without one counts as a rack of its own. */
  racks(ids: readonly number[]): number {
    return new Set(ids.map((id) => this.#brokers.get(id)!.rack ?? id)).size
  }

  /** The emptiest broker, among those in a new rack if there are any, that has no replica yet. */
  bestFor(replicas: readonly number[]): number {
    const free = this.byLoad(this.ids.filter((id) => !replicas.includes(id)))
    const racks = this.racks(replicas)
    return free.find((id) => this.racks([...replicas, id]) > racks) ?? free[0]!
  }
}

/** Evens out, one move at a time; each lowers the sum of the squares of the loads, so this ends. */
function level(plan: number[][], places: Places): void {
  for (;;) {
    const move = findMove(plan, places)
    if (move === null) return
    const { replicas, from, to } = move
    replicas[replicas.indexOf(from)] = to
    places.add(from, -1)
    places.add(to, 1)
  }
}

function findMove(
  plan: number[][],
  places: Places,
): { readonly replicas: number[]; readonly from: number; readonly to: number } | null {
  const emptiest = places.byLoad(places.ids)
  for (const from of emptiest.toReversed()) {
    for (const to of emptiest) {
      if (places.load(from) - places.load(to) <= 1) break
      for (const replicas of plan) {
        if (!replicas.includes(from) || replicas.includes(to)) continue
        const moved = replicas.map((id) => (id === from ? to : id))
        if (places.racks(moved) >= places.racks(replicas)) return { replicas, from, to }
      }
    }
  }
  return null
}

/** Puts a broker first that leads least; who leads already is preferred, since every change costs an election. */
function withLeaders(plan: readonly number[][], brokers: readonly SpreadBroker[]): number[][] {
  const mostLed = Math.ceil(plan.length / Math.max(1, brokers.length))
  const led = new Map(brokers.map(({ id }) => [id, 0]))
  return plan.map((replicas) => {
    const count = (id: number): number => led.get(id)!
    const present = replicas[0]!
    const leader =
      count(present) < mostLed
        ? present
        : replicas.reduce((best, id) => (count(id) < count(best) ? id : best), present)
    led.set(leader, count(leader) + 1)
    return [leader, ...replicas.filter((id) => id !== leader)]
  })
}
