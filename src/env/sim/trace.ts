/**
 * What a run did, as a running hash over its events and, when asked for, as the list of them. Equal seeds must
 * give equal traces (faults.md S7); the first line that differs tells where determinism was lost.
 */

export class Trace {
  /** Lines `time node what`, kept only when the simulation was told to. */
  readonly lines: string[] = []
  readonly #keepsLines: boolean
  #high = 0x811c9dc5
  #low = 0x01000193

  constructor(keepsLines: boolean) {
    this.#keepsLines = keepsLines
  }

  /** 64 bits in hexadecimal. */
  get hash(): string {
    return hex(this.#high) + hex(this.#low)
  }

  add(timeMs: number, label: string): void {
    const line = `${timeMs.toFixed(6)} ${label}`
    if (this.#keepsLines) this.lines.push(line)
    for (let index = 0; index < line.length; index++) {
      const unit = line.charCodeAt(index)
      this.#high = Math.imul(this.#high ^ unit, 0x01000193)
      this.#low = Math.imul(this.#low ^ unit, 0x85ebca6b) ^ (this.#low >>> 15)
    }
  }
}

function hex(word: number): string {
  return (word >>> 0).toString(16).padStart(8, '0')
}
