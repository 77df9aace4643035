/**
 * The `uniform` assignor: as even as can be, moving as little as can be.
 *
 * Members that all subscribe to the same topics get shares that differ by one at most, and the number of partitions that
 * move is the least possible: whoever has more than its share gives the surplus, nobody else gives anything.
 *
 * With differing subscriptions every partition stays where it is if it may, new ones go to the least loaded subscriber, and
 * then partitions move from a member to another one with at least two fewer until none such is left. Each move makes the sum
 * of squared loads smaller, so that this ends; where it ends, members with equal subscriptions differ by one at most.
 *
 * Inside, members and topics are indexes and the owner of each partition is a number in a typed array: 1,000 members with
 * 10,000 partitions take some milliseconds.
 */
import type { Assignment, AssignorInput } from './assignor.ts'

const NOBODY = -1

export function assignUniformly(input: AssignorInput): Map<string, Assignment> {
  const plan = new Plan(input)
  plan.keepCurrent()
  if (plan.isHomogeneous) plan.fillShares()
  else plan.fillAndLevel()
  return plan.finish()
}

class Plan {
  readonly isHomogeneous: boolean
  readonly #memberIds: string[]
  readonly #current: Assignment[]
  readonly #topicIds: string[]
  readonly #topicIndexes: Map<string, number>
  /** Owner of each partition of each topic, as an index of a member. */
  readonly #owners: Int32Array[]
  /** Indexes of the members that subscribe to each topic, ascending. */
  readonly #subscribers: number[][]
  /** Number of partitions each member has. */
  readonly #loads: Int32Array

  constructor(input: AssignorInput) {
    const members = [...input.members].sort((a, b) => (a.memberId < b.memberId ? -1 : 1))
    this.#memberIds = members.map(({ memberId }) => memberId)
    this.#current = members.map(({ current }) => current)
    this.#topicIds = [...new Set(members.flatMap(({ topicIds }) => topicIds))].sort()
    this.#topicIndexes = new Map(this.#topicIds.map((topicId, index) => [topicId, index]))
    this.#owners = this.#topicIds.map((topicId) =>
      new Int32Array(input.partitionCounts.get(topicId) ?? 0).fill(NOBODY),
    )
    this.#subscribers = this.#topicIds.map(() => [])
    for (const [member, { topicIds }] of members.entries()) {
      for (const topicId of topicIds) this.#subscribers[this.#topicIndexes.get(topicId)!]!.push(member)
    }
    this.#loads = new Int32Array(members.length)
    this.isHomogeneous = this.#subscribers.every(({ length }) => length === members.length)
  }

  /** Everybody keeps what is still there and subscribed to; of two who claim a partition, the first. */
  keepCurrent(): void {
    const mayKeep = this.#subscribers.map((subscribers) => new Set(subscribers))
    for (const [member, current] of this.#current.entries()) {
      for (const [topicId, partitions] of current) {
        const topic = this.#topicIndexes.get(topicId)
        if (topic === undefined || !mayKeep[topic]!.has(member)) continue
        const owners = this.#owners[topic]!
        for (const partition of partitions) {
          if (partition < owners.length && owners[partition] === NOBODY) this.#give(topic, partition, member)
        }
      }
    }
  }

  /** All subscribe to all: takes what is over each share, and hands it and what was free to those below theirs. */
  fillShares(): void {
    const memberCount = this.#memberIds.length
    if (memberCount === 0) return
    const partitionCount = this.#owners.reduce((sum, { length }) => sum + length, 0)
    const share = Math.floor(partitionCount / memberCount)
    const shares = new Int32Array(memberCount).fill(share)
    // Whoever already has more than the lesser share gets the greater one first: it moves one partition less.
    let extraCount = partitionCount % memberCount
    for (const hasMore of [true, false]) {
      for (let member = 0; member < memberCount && extraCount > 0; member++) {
        if (this.#loads[member]! > share !== hasMore) continue
        shares[member]!++
        extraCount--
      }
    }
    // The highest partitions of all topics go first: what is left of each topic stays spread over the members.
    const lengthMax = this.#owners.reduce((max, { length }) => Math.max(max, length), 0)
    for (let partition = lengthMax - 1; partition >= 0; partition--) {
      for (const owners of this.#owners) {
        const owner = owners[partition] ?? NOBODY
        if (owner === NOBODY || this.#loads[owner]! <= shares[owner]!) continue
        owners[partition] = NOBODY
        this.#loads[owner]!--
      }
    }
    // One each in turn, so that a topic's partitions spread over members rather than fill one after the other.
    let takers = [...this.#memberIds.keys()].filter((member) => this.#loads[member]! < shares[member]!)
    let turn = 0
    for (const [topic, owners] of this.#owners.entries()) {
      for (let partition = 0; partition < owners.length; partition++) {
        if (owners[partition] !== NOBODY) continue
        if (turn >= takers.length) {
          takers = takers.filter((member) => this.#loads[member]! < shares[member]!)
          turn = 0
        }
        this.#give(topic, partition, takers[turn++]!)
      }
    }
  }

  /** Subscriptions differ: topics with few subscribers first, since the others can still make up for it. */
  fillAndLevel(): void {
    const topics = [...this.#topicIds.keys()].sort(
      (a, b) => this.#subscribers[a]!.length - this.#subscribers[b]!.length || a - b,
    )
    for (const topic of topics) {
      const takers = new LoadBuckets(this.#loads, this.#subscribers[topic]!)
      const owners = this.#owners[topic]!
      for (let partition = 0; partition < owners.length; partition++) {
        if (owners[partition] !== NOBODY) continue
        const taker = takers.least()
        this.#give(topic, partition, taker)
        takers.changed(taker)
      }
    }
    let hasMoved = true
    while (hasMoved) {
      hasMoved = false
      for (const topic of topics) if (this.#level(topic)) hasMoved = true
    }
  }

  /** Moves partitions of one topic from its most loaded owner to its least loaded subscriber while that evens them out. */
  #level(topic: number): boolean {
    const owners = this.#owners[topic]!
    const owned = new Map<number, number[]>()
    for (let partition = 0; partition < owners.length; partition++) {
      const partitions = owned.get(owners[partition]!)
      if (partitions === undefined) owned.set(owners[partition]!, [partition])
      else partitions.push(partition)
    }
    const takers = new LoadBuckets(this.#loads, this.#subscribers[topic]!)
    const givers = new LoadBuckets(this.#loads, [...owned.keys()])
    let hasMoved = false
    while (!givers.isEmpty) {
      const giver = givers.most()
      const taker = takers.least()
      if (this.#loads[giver]! - this.#loads[taker]! < 2) break
      const partitions = owned.get(giver)!
      const partition = partitions.pop()!
      this.#loads[giver]!--
      this.#give(topic, partition, taker)
      takers.changed(giver)
      takers.changed(taker)
      // The taker may be a giver, too, of what it had before: its entry there has just become stale.
      givers.changed(taker)
      if (partitions.length === 0) givers.remove(giver)
      else givers.changed(giver)
      hasMoved = true
    }
    return hasMoved
  }

  finish(): Map<string, Assignment> {
    const assignments = this.#memberIds.map(() => new Map<string, number[]>())
    for (const [topic, owners] of this.#owners.entries()) {
      const topicId = this.#topicIds[topic]!
      for (let partition = 0; partition < owners.length; partition++) {
        const assignment = assignments[owners[partition]!]!
        const partitions = assignment.get(topicId)
        if (partitions === undefined) assignment.set(topicId, [partition])
        else partitions.push(partition)
      }
    }
    return new Map(this.#memberIds.map((memberId, member) => [memberId, assignments[member]!]))
  }

  #give(topic: number, partition: number, member: number): void {
    this.#owners[topic]![partition] = member
    this.#loads[member]!++
  }
}

/**
 * Members by load, to find one with the least or the most. While partitions only go from more to less loaded, the least
 * only rises and the most only falls, so that all look-ups together cost as much as there are members, changes and loads.
 * An entry whose member's load has changed since is stale and skipped when it is met.
 */
class LoadBuckets {
  readonly #loads: Int32Array
  readonly #members: Set<number>
  readonly #buckets: number[][] = []
  #leastLoad = Infinity
  #mostLoad = 0

  constructor(loads: Int32Array, members: readonly number[]) {
    this.#loads = loads
    this.#members = new Set(members)
    // Taken from the end of a bucket: of members with equal loads, the first is found first.
    for (let index = members.length - 1; index >= 0; index--) this.#insert(members[index]!)
  }

  get isEmpty(): boolean {
    return this.#members.size === 0
  }

  least(): number {
    for (;;) {
      const member = this.#findIn(this.#leastLoad)
      if (member !== null) return member
      this.#leastLoad++
    }
  }

  most(): number {
    for (;;) {
      const member = this.#findIn(this.#mostLoad)
      if (member !== null) return member
      this.#mostLoad--
    }
  }

  changed(member: number): void {
    this.#insert(member)
  }

  remove(member: number): void {
    this.#members.delete(member)
  }

  #insert(member: number): void {
    const load = this.#loads[member]!
    const bucket = this.#buckets[load]
    if (bucket === undefined) this.#buckets[load] = [member]
    else bucket.push(member)
    this.#leastLoad = Math.min(this.#leastLoad, load)
    this.#mostLoad = Math.max(this.#mostLoad, load)
  }

  #findIn(load: number): number | null {
    const bucket = this.#buckets[load]
    if (bucket === undefined) return null
    while (bucket.length > 0) {
      const member = bucket[bucket.length - 1]!
      if (this.#loads[member] === load && this.#members.has(member)) return member
      bucket.pop()
    }
    return null
  }
}
