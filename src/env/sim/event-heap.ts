/**
 * The simulation's events, earliest first; ties at one virtual time are broken by a seeded draw, then by age.
 * A binary heap in an array; cancelled events stay until they surface.
 */
import type { SimProcess } from './sim-node.ts'
import type { EventLabel } from './trace.ts'

export interface SimEvent extends EventLabel {
  readonly timeMs: number
  /** Seeded: events of one time come in an order that differs from seed to seed. */
  readonly tie: number
  /** Count of events before it: makes the order total. */
  readonly sequence: number
  /** The life whose code it runs: it does not happen after its end, and waits while it is paused. Null: the world's own. */
  readonly process: SimProcess | null
  /** Null once cancelled. */
  task: (() => void) | null
}

export class EventHeap {
  readonly #events: SimEvent[] = []

  get size(): number {
    return this.#events.length
  }

  peek(): SimEvent | null {
    return this.#events[0] ?? null
  }

  /** All of them, in no order that means anything. */
  events(): Iterable<SimEvent> {
    return this.#events
  }

  push(event: SimEvent): void {
    const events = this.#events
    let index = events.length
    events.push(event)
    while (index > 0) {
      const parent = (index - 1) >> 1
      if (!isBefore(event, events[parent]!)) break
      events[index] = events[parent]!
      index = parent
    }
    events[index] = event
  }

  pop(): SimEvent | null {
    const events = this.#events
    const first = events[0]
    if (first === undefined) return null
    const last = events.pop()!
    if (events.length > 0) this.#sink(last)
    return first
  }

  /** Places `event` from the root down. */
  #sink(event: SimEvent): void {
    const events = this.#events
    let index = 0
    for (;;) {
      let child = 2 * index + 1
      if (child >= events.length) break
      if (child + 1 < events.length && isBefore(events[child + 1]!, events[child]!)) child++
      if (!isBefore(events[child]!, event)) break
      events[index] = events[child]!
      index = child
    }
    events[index] = event
  }
}

function isBefore(a: SimEvent, b: SimEvent): boolean {
  if (a.timeMs !== b.timeMs) return a.timeMs < b.timeMs
  if (a.tie !== b.tie) return a.tie < b.tie
  return a.sequence < b.sequence
}
