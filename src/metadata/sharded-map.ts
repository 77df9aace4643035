/**
 * A map from text that never changes, and can be copied with changes cheaply: keys are spread over shards, a change
 * copies only the shards it touches and shares the others. With 10,000 topics, one more costs a copy of some 40
 * entries and of 256 references, where copying a Map would cost 10,000 entries.
 *
 * Plain Maps inside, so keys such as `__proto__` are keys like any other (faults.md X22). Order of iteration depends
 * on the history of changes: whoever needs one order sorts.
 */
import { assert } from '../base/assert.ts'

/** A power of two. */
const SHARD_COUNT = 256

type Shards<V> = readonly (ReadonlyMap<string, V> | undefined)[]

export class ShardedMap<V> {
  readonly size: number
  readonly #shards: Shards<V>

  private constructor(shards: Shards<V>, size: number) {
    this.#shards = shards
    this.size = size
  }

  static empty<V>(): ShardedMap<V> {
    return new ShardedMap<V>(new Array<undefined>(SHARD_COUNT).fill(undefined), 0)
  }

  get(key: string): V | undefined {
    return this.#shards[shardOf(key)]?.get(key)
  }

  has(key: string): boolean {
    return this.#shards[shardOf(key)]?.has(key) ?? false
  }

  *[Symbol.iterator](): IterableIterator<[string, V]> {
    for (const shard of this.#shards) if (shard !== undefined) yield* shard
  }

  *keys(): IterableIterator<string> {
    for (const [key] of this) yield key
  }

  *values(): IterableIterator<V> {
    for (const [, value] of this) yield value
  }

  /** A copy to be changed; this map stays as it is. */
  edit(): ShardedMapDraft<V> {
    return new ShardedMapDraft(this, this.#shards, (shards, size) => new ShardedMap(shards, size))
  }
}

/** Changes on their way into a new map. */
export class ShardedMapDraft<V> {
  readonly #base: ShardedMap<V>
  readonly #freeze: (shards: Shards<V>, size: number) => ShardedMap<V>
  readonly #shards: (ReadonlyMap<string, V> | undefined)[]
  /** Shards that belong to this draft alone and may be changed in place. */
  readonly #owned = new Map<number, Map<string, V>>()
  #size: number
  #isFrozen = false

  constructor(
    base: ShardedMap<V>,
    shards: Shards<V>,
    freeze: (shards: Shards<V>, size: number) => ShardedMap<V>,
  ) {
    this.#base = base
    this.#shards = [...shards]
    this.#freeze = freeze
    this.#size = base.size
  }

  get size(): number {
    return this.#size
  }

  get(key: string): V | undefined {
    return this.#shards[shardOf(key)]?.get(key)
  }

  has(key: string): boolean {
    return this.#shards[shardOf(key)]?.has(key) ?? false
  }

  set(key: string, value: V): void {
    const shard = this.#own(shardOf(key))
    if (!shard.has(key)) this.#size++
    shard.set(key, value)
  }

  delete(key: string): void {
    if (!this.has(key)) return
    this.#own(shardOf(key)).delete(key)
    this.#size--
  }

  /** Ends the draft. @returns The base itself when nothing changed. */
  freeze(): ShardedMap<V> {
    assert(!this.#isFrozen, 'A draft is frozen once')
    this.#isFrozen = true
    return this.#owned.size === 0 ? this.#base : this.#freeze(this.#shards, this.#size)
  }

  #own(index: number): Map<string, V> {
    assert(!this.#isFrozen, 'A frozen draft cannot change')
    let shard = this.#owned.get(index)
    if (shard === undefined) {
      shard = new Map(this.#shards[index])
      this.#owned.set(index, shard)
      this.#shards[index] = shard
    }
    return shard
  }
}

/** FNV-1a over code units; names chosen to collide cost their sender's cluster a larger copy, no more. */
function shardOf(key: string): number {
  let hash = 0x811c9dc5
  for (let index = 0; index < key.length; index++) hash = Math.imul(hash ^ key.charCodeAt(index), 0x01000193)
  return (hash ^ (hash >>> 16)) & (SHARD_COUNT - 1)
}
