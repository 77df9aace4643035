/**
 * What a run did, as a running hash over its events and, when asked for, as the list of them. Equal seeds must
 * give equal traces (faults.md S7); the first line that differs tells where determinism was lost.
 *
 *   event := time: the 64 bits of the number of ms | owner | what | about        three texts, each by a hash of its own
 *
 * An event costs no text: its labels are constants, or live as long as what they name, so each is hashed once a run and
 * looked up from then on; a line is put together only for whoever keeps lines, or asks for one. Formatting and hashing
 * lines took a sixth of a simulated cluster's time.
 */

/** What an event is called, in three parts: whose it is, what it is, and what it is about; the first and last may be empty. */
export interface EventLabel {
  readonly owner: string
  readonly what: string
  readonly about: string
}

export function formatLabel({ owner, what, about }: EventLabel): string {
  return `${owner}${owner === '' ? '' : ' '}${what}${about === '' ? '' : ' '}${about}`
}

export class Trace {
  /** Lines `time owner what about`, kept only when the simulation was told to. */
  readonly lines: string[] = []
  readonly #keepsLines: boolean
  readonly #hashes = new Map<string, number>()
  readonly #time = new Float64Array(1)
  readonly #timeWords = new Uint32Array(this.#time.buffer)
  #high = 0x811c9dc5
  #low = 0x01000193

  constructor(keepsLines: boolean) {
    this.#keepsLines = keepsLines
  }

  /** 64 bits in hexadecimal. */
  get hash(): string {
    return hex(this.#high) + hex(this.#low)
  }

  add(timeMs: number, label: EventLabel): void {
    if (this.#keepsLines) this.lines.push(`${timeMs.toFixed(6)} ${formatLabel(label)}`)
    this.#time[0] = timeMs
    this.#mix(this.#timeWords[0]!)
    this.#mix(this.#timeWords[1]!)
    this.#mix(this.#hashOf(label.owner))
    this.#mix(this.#hashOf(label.what))
    this.#mix(this.#hashOf(label.about))
  }

  #hashOf(text: string): number {
    let hash = this.#hashes.get(text)
    if (hash === undefined) {
      hash = 0x811c9dc5
      for (let index = 0; index < text.length; index++)
        hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193)
      this.#hashes.set(text, hash)
    }
    return hash
  }

  /** Murmur3's step for a word, in two lanes with constants of their own: the order of words counts. */
  #mix(word: number): void {
    const high = Math.imul(word, 0xcc9e2d51)
    this.#high ^= Math.imul((high << 15) | (high >>> 17), 0x1b873593)
    this.#high = (Math.imul((this.#high << 13) | (this.#high >>> 19), 5) + 0xe6546b64) | 0
    const low = Math.imul(word, 0x239b961b)
    this.#low ^= Math.imul((low << 16) | (low >>> 16), 0xab0e9789)
    this.#low = (Math.imul((this.#low << 17) | (this.#low >>> 15), 5) + 0x561ccd1b) | 0
  }
}

function hex(word: number): string {
  return (word >>> 0).toString(16).padStart(8, '0')
}
