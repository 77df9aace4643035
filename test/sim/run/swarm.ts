/**
 * A run: many lives, a few at a time, and what is found out about those that fail. It goes on after a failure, to tell whether it
 * is one bug or many; of failures with the same symptom only the first is looked into.
 */
import type { LifeSummary, LifeTask, LiveLife } from './lives.ts'
import { symptomOf } from './lives.ts'
import { commandFor } from './command.ts'
import { headline, investigate } from './investigate.ts'
import type { SwarmOrder } from './options.ts'
import { Tally } from './tally.ts'

export interface SwarmPorts {
  readonly live: LiveLife
  /** Monotonic, in ms. */
  readonly now: () => number
  /** After each life. */
  readonly onLife?: (tally: Tally) => void
  /** Gets what was found out about a failure, as soon as it is known. */
  readonly onFailure: (text: string) => void
  /** Ctrl-C. */
  readonly signal?: AbortSignal
  readonly failuresMax?: number
  readonly shrinkMs?: number
}

export interface SwarmResult {
  readonly tally: Tally
  readonly realMs: number
  /** Pairs of lives that were compared (S7). */
  readonly comparedCount: number
  /** Marks that a run of this length must have, and has not. */
  readonly missingMarks: readonly string[]
  /** Why it ended before all seeds were lived; null: it did not. */
  readonly endedBy: 'interrupt' | 'time' | 'failures' | null
}

/** One bug shows itself in many lives. */
const FAILURES_MAX = 5
/** For making one failing life small: some hundred lives. */
const SHRINK_MS = 90_000

export async function runSwarm(order: SwarmOrder, ports: SwarmPorts): Promise<SwarmResult> {
  return new Swarm(order, ports).run()
}

class Swarm {
  readonly #order: SwarmOrder
  readonly #ports: SwarmPorts
  readonly #tally = new Tally()
  readonly #startMs: number
  readonly #symptoms = new Set<string>()
  /** One after the other: other lives go on beside it. */
  #investigation: Promise<void> = Promise.resolve()
  #next: number
  #comparedCount = 0

  constructor(order: SwarmOrder, ports: SwarmPorts) {
    this.#order = order
    this.#ports = ports
    this.#startMs = ports.now()
    this.#next = order.from
  }

  async run(): Promise<SwarmResult> {
    const endedBy: SwarmResult['endedBy'][] = []
    const lane = async (): Promise<void> => {
      for (;;) {
        const why = this.#whyNotNext()
        if (why !== 'go on') {
          endedBy.push(why)
          return
        }
        await this.#liveOne(this.#next++)
      }
    }
    await Promise.all(Array.from({ length: this.#order.jobs }, lane))
    const realMs = this.#ports.now() - this.#startMs
    if (!this.#isStopped) await this.#investigation
    const tally = this.#tally
    return {
      tally,
      realMs,
      comparedCount: this.#comparedCount,
      missingMarks: this.#isStopped ? [] : tally.marks.missing(this.#order.groupChance),
      endedBy: this.#isStopped ? 'interrupt' : (endedBy.find((why) => why !== null) ?? null),
    }
  }

  get #isStopped(): boolean {
    return this.#ports.signal?.aborted === true
  }

  #whyNotNext(): SwarmResult['endedBy'] | 'go on' {
    const { from, seeds, minutes } = this.#order
    if (this.#isStopped) return 'interrupt'
    if (seeds !== null && this.#next >= from + seeds) return null
    if (this.#tally.failed >= (this.#ports.failuresMax ?? FAILURES_MAX)) return 'failures'
    if (minutes !== null && this.#ports.now() - this.#startMs >= minutes * 60_000) return 'time'
    return 'go on'
  }

  async #liveOne(seed: number): Promise<void> {
    const { groupChance, from, twice } = this.#order
    const task: LifeTask = { seed, ...(groupChance === undefined ? {} : { groupChance }) }
    const { live } = this.#ports
    let summary = await live(task)
    if (summary.failure === null && seed < from + twice && !this.#isStopped) {
      const second = await live(task)
      this.#comparedCount++
      if (second.hash !== summary.hash) summary = { ...summary, failure: describeDifference(summary, second) }
    }
    // What came of a life that was cut off says nothing about it.
    if (this.#isStopped) return
    this.#tally.add(summary)
    if (summary.failure !== null) this.#failed(task, summary)
    this.#ports.onLife?.(this.#tally)
  }

  #failed(task: LifeTask, summary: LifeSummary): void {
    const symptom = symptomOf(summary)!
    const { live, now, onFailure, shrinkMs = SHRINK_MS } = this.#ports
    if (this.#symptoms.has(symptom)) {
      onFailure(
        `${headline(summary)}\n  whole     ${commandFor(task)}\n  The symptom is one that was looked into already.`,
      )
      return
    }
    this.#symptoms.add(symptom)
    this.#investigation = this.#investigation.then(async () => {
      const text = await investigate(task, summary, { live, now, shrinkMs, isStopped: () => this.#isStopped })
      onFailure(text)
    })
  }
}

function describeDifference(first: LifeSummary, second: LifeSummary): string {
  const what = (life: LifeSummary): string => `${life.events} events with hash ${life.hash}`
  return `S7: the same seed gave two lives: ${what(first)}, then ${what(second)}`
}
