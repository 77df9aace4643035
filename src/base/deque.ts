/**
 * A double-ended queue on a ring that doubles when full: O(1) at both ends, no allocation per element.
 *
 * Bounds are the caller's: a queue that wire input feeds is checked before it is pushed to.
 */

const INITIAL_SLOTS = 16

export class Deque<T> {
  #slots: (T | undefined)[] = new Array<T | undefined>(INITIAL_SLOTS)
  #head = 0
  #count = 0

  get count(): number {
    return this.#count
  }

  push(value: T): void {
    if (this.#count === this.#slots.length) this.#grow()
    this.#slots[(this.#head + this.#count) & (this.#slots.length - 1)] = value
    this.#count++
  }

  /** The oldest element, or undefined when empty. */
  peek(): T | undefined {
    return this.#count === 0 ? undefined : this.#slots[this.#head]
  }

  /** Removes and returns the oldest element, or undefined when empty. */
  shift(): T | undefined {
    if (this.#count === 0) return undefined
    const value = this.#slots[this.#head]
    this.#slots[this.#head] = undefined
    this.#head = (this.#head + 1) & (this.#slots.length - 1)
    this.#count--
    return value
  }

  /** The youngest element, or undefined when empty. */
  peekLast(): T | undefined {
    return this.#count === 0
      ? undefined
      : this.#slots[(this.#head + this.#count - 1) & (this.#slots.length - 1)]
  }

  /** Removes and returns the youngest element, or undefined when empty. */
  pop(): T | undefined {
    if (this.#count === 0) return undefined
    const index = (this.#head + this.#count - 1) & (this.#slots.length - 1)
    const value = this.#slots[index]
    this.#slots[index] = undefined
    this.#count--
    return value
  }

  #grow(): void {
    const slots = new Array<T | undefined>(this.#slots.length * 2)
    for (let index = 0; index < this.#count; index++) {
      slots[index] = this.#slots[(this.#head + index) & (this.#slots.length - 1)]
    }
    this.#slots = slots
    this.#head = 0
  }
}
