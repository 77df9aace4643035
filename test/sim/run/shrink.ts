/**
 * Makes a failing life small: leaves out clients and acts as long as it still fails the same way. Acts go by ddmin (Zeller and
 * Hildebrandt, Simplifying and Isolating Failure-Inducing Input, 2002): halves, then smaller and smaller parts.
 *
 * A life is chaotic: with less in it everything after goes another way, and it may not fail although what was left out had no part
 * in it. So what is found is small, not smallest; a step that does not fail is just not taken.
 */
import type { Cuts } from '../life/life.ts'

export interface Failing {
  /** Numbers of the acts that happened. */
  readonly acts: readonly number[]
  /** How many acts the weather has. */
  readonly actCount: number
  readonly producers: number
  readonly consumers: number
  readonly hasGroup: boolean
  /** How long the storm was, in virtual ms: until the failure, if it came so early. */
  readonly stormMs: number
}

export interface ShrinkOptions {
  /** Numbers of the acts that happened in a life with these cuts, if it fails in the same way; else null. */
  readonly fails: (cuts: Cuts) => Promise<readonly number[] | null>
  /** What is found by then has to do. */
  readonly isTimeUp: () => boolean
}

export interface Shrunk {
  readonly cuts: Cuts
  readonly actsLeft: readonly number[]
  /** Lives that were tried. */
  readonly tries: number
  /** It ended because there was nothing more to leave out, not for lack of time. */
  readonly isDone: boolean
}

/** Of the storm; the first that will do is taken. */
const STORM_SHARES = [0.25, 0.5, 0.75] as const

export async function shrink(life: Failing, already: Cuts, options: ShrinkOptions): Promise<Shrunk> {
  return new Shrinker(life, already, options).run()
}

class Shrinker {
  readonly #options: ShrinkOptions
  readonly #life: Failing
  readonly #tried = new Set<string>()
  #cuts: Cuts
  #acts: readonly number[]
  #tries = 0

  constructor(life: Failing, already: Cuts, options: ShrinkOptions) {
    this.#life = life
    this.#options = options
    this.#cuts = already
    this.#acts = life.acts
  }

  async run(): Promise<Shrunk> {
    for (;;) {
      const before = JSON.stringify([this.#cuts, this.#acts])
      await this.#withoutClients()
      await this.#withoutActs()
      await this.#withoutTime()
      if (this.#options.isTimeUp() || JSON.stringify([this.#cuts, this.#acts]) === before) break
    }
    return { cuts: this.#cuts, actsLeft: this.#acts, tries: this.#tries, isDone: !this.#options.isTimeUp() }
  }

  async #withoutClients(): Promise<void> {
    const { hasGroup, producers, consumers } = this.#life
    if (hasGroup && this.#cuts.hasGroup !== false) await this.#take({ hasGroup: false })
    if (this.#cuts.hasOperator !== false) await this.#take({ hasOperator: false })
    const consumersNow = this.#cuts.consumers ?? consumers
    if (consumersNow > 0) await this.#take({ consumers: 0 })
    for (let count = 1; count < (this.#cuts.producers ?? producers); count++)
      if (await this.#take({ producers: count })) break
  }

  async #withoutActs(): Promise<void> {
    if (this.#acts.length > 0 && (await this.#takeActs([]))) return
    let parts = Math.min(2, this.#acts.length)
    while (this.#acts.length > 0 && !this.#options.isTimeUp()) {
      const size = Math.ceil(this.#acts.length / parts)
      if (await this.#withoutAnyOf(size)) {
        parts = Math.max(2, Math.min(parts - 1, this.#acts.length))
        continue
      }
      if (size <= 1) break
      parts = Math.min(this.#acts.length, 2 * parts)
    }
  }

  /** Leaves out the first part of that size without which it still fails. */
  async #withoutAnyOf(size: number): Promise<boolean> {
    // The last acts first: they are the least likely to be why everything went the way that it did.
    for (let end = this.#acts.length; end > 0; end -= size) {
      const start = Math.max(0, end - size)
      const rest = [...this.#acts.slice(0, start), ...this.#acts.slice(end)]
      if (await this.#takeActs(rest)) return true
      if (this.#options.isTimeUp()) return false
    }
    return false
  }

  async #takeActs(acts: readonly number[]): Promise<boolean> {
    const all = Array.from({ length: this.#life.actCount }, (_, index) => index)
    return this.#take({ without: new Set(all.filter((act) => !acts.includes(act))) })
  }

  async #withoutTime(): Promise<void> {
    const stormMs = this.#cuts.stormMs ?? this.#life.stormMs
    for (const share of STORM_SHARES) if (await this.#take({ stormMs: Math.ceil(stormMs * share) })) return
  }

  /** Keeps the cut if the life still fails with it. */
  async #take(cut: Cuts): Promise<boolean> {
    if (this.#options.isTimeUp()) return false
    const cuts = { ...this.#cuts, ...cut }
    const key = JSON.stringify({ ...cuts, without: [...(cuts.without ?? [])].sort((a, b) => a - b) })
    if (this.#tried.has(key)) return false
    this.#tried.add(key)
    this.#tries++
    const acts = await this.#options.fails(cuts)
    if (acts === null) return false
    this.#cuts = cuts
    this.#acts = acts
    return true
  }
}
