/**
 * Deadlines of many members on one timer. A heartbeat only writes a number down: the heap is put right when the old deadline
 * comes up, and the timer is moved only when the earliest deadline is one that came earlier than all others.
 *
 * Costs: a later deadline O(1); a new, an earlier or a dropped one O(log n); one timer for all.
 *
 * Invariants:
 * - A key has one node at most, so the queue is as large as the set of keys, whatever clients do.
 * - `heapMs <= atMs` for every node, and the heap is ordered by `heapMs`: nothing comes up too late.
 * - A node is at `heap[node.index]`.
 */
import type { Cancel, Clock } from '../../../env/index.ts'

interface Node {
  readonly key: string
  /** The deadline, monotonic ms. */
  atMs: number
  /** What the heap knows of it. */
  heapMs: number
  index: number
}

export class DeadlineQueue {
  readonly #clock: Pick<Clock, 'monotonicMs' | 'after'>
  readonly #onDue: (key: string) => void
  readonly #nodes = new Map<string, Node>()
  readonly #heap: Node[] = []
  #timer: { readonly atMs: number; readonly cancel: Cancel } | null = null

  /** @param onDue - Gets each key whose deadline came, which is no longer in the queue then; may set and drop keys. */
  constructor(clock: Pick<Clock, 'monotonicMs' | 'after'>, onDue: (key: string) => void) {
    this.#clock = clock
    this.#onDue = onDue
  }

  get size(): number {
    return this.#heap.length
  }

  /** Sets the deadline of `key` to `delayMs` from now, in place of the one it had. */
  set(key: string, delayMs: number): void {
    const atMs = this.#clock.monotonicMs() + delayMs
    let node = this.#nodes.get(key)
    if (node === undefined) {
      node = { key, atMs, heapMs: atMs, index: this.#heap.length }
      this.#nodes.set(key, node)
      this.#heap.push(node)
    } else {
      node.atMs = atMs
      if (atMs >= node.heapMs) return
      node.heapMs = atMs
    }
    this.#rise(node)
    this.#arm()
  }

  /** Drops the deadline of `key`, if it has one. */
  drop(key: string): void {
    const node = this.#nodes.get(key)
    if (node === undefined) return
    this.#nodes.delete(key)
    const last = this.#heap.pop()!
    if (last === node) return
    this.#place(last, node.index)
    this.#rise(last)
    this.#sink(last)
  }

  /** Drops all deadlines and the timer. */
  clear(): void {
    this.#nodes.clear()
    this.#heap.length = 0
    this.#timer?.cancel()
    this.#timer = null
  }

  /** Sees to it that the timer comes no later than the first deadline. It may come earlier, and be moved then. */
  #arm(): void {
    const first = this.#heap[0]
    if (first === undefined) return
    if (this.#timer !== null) {
      if (this.#timer.atMs <= first.heapMs) return
      this.#timer.cancel()
    }
    const delayMs = Math.max(0, first.heapMs - this.#clock.monotonicMs())
    this.#timer = { atMs: first.heapMs, cancel: this.#clock.after(delayMs, () => this.#fire()) }
  }

  #fire(): void {
    this.#timer = null
    const nowMs = this.#clock.monotonicMs()
    for (let first = this.#heap[0]; first !== undefined && first.heapMs <= nowMs; first = this.#heap[0]) {
      if (first.atMs > first.heapMs) {
        first.heapMs = first.atMs
        this.#sink(first)
        continue
      }
      this.drop(first.key)
      this.#onDue(first.key)
    }
    this.#arm()
  }

  #rise(node: Node): void {
    while (node.index > 0) {
      const parent = this.#heap[(node.index - 1) >> 1]!
      if (parent.heapMs <= node.heapMs) return
      this.#swap(parent, node)
    }
  }

  #sink(node: Node): void {
    for (;;) {
      const left = this.#heap[2 * node.index + 1]
      const right = this.#heap[2 * node.index + 2]
      if (left === undefined) return
      const child = right !== undefined && right.heapMs < left.heapMs ? right : left
      if (child.heapMs >= node.heapMs) return
      this.#swap(node, child)
    }
  }

  #swap(upper: Node, lower: Node): void {
    const { index } = upper
    this.#place(upper, lower.index)
    this.#place(lower, index)
  }

  #place(node: Node, index: number): void {
    node.index = index
    this.#heap[index] = node
  }
}
