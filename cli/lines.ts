/**
 * Cuts a stream of bytes into lines. Bytes are never decoded, so a line may hold anything but a line feed: what goes in
 * comes out, carriage returns included. An empty line is a line; what follows the last line feed is one too, unless
 * nothing does. Data plane: a line is a view of the chunk it came in, copied only when it spans chunks.
 */

const LINE_FEED = 10

/** Longest line in bytes: no broker takes a larger request unless told to, and it bounds what a file without lines costs. */
export const LINE_BYTES_MAX = 100 * 1024 * 1024

export class LineSplitter {
  /** Chunks of a line whose end has not come. */
  #pending: Uint8Array[] = []
  #pendingBytes = 0

  /**
   * @param chunk - Handed over: the lines are views of it.
   * @returns The lines that ended in it, or `too-long` when one passes `LINE_BYTES_MAX`.
   */
  push(chunk: Uint8Array): Uint8Array[] | 'too-long' {
    const lines: Uint8Array[] = []
    let start = 0
    for (let end = chunk.indexOf(LINE_FEED); end >= 0; end = chunk.indexOf(LINE_FEED, start)) {
      lines.push(this.#take(chunk.subarray(start, end)))
      start = end + 1
    }
    if (start < chunk.length) {
      this.#pending.push(chunk.subarray(start))
      this.#pendingBytes += chunk.length - start
    }
    return this.#pendingBytes > LINE_BYTES_MAX ? 'too-long' : lines
  }

  /** The last line, when the stream did not end in a line feed. */
  end(): Uint8Array | null {
    return this.#pendingBytes === 0 ? null : this.#take(new Uint8Array(0))
  }

  #take(tail: Uint8Array): Uint8Array {
    if (this.#pendingBytes === 0) return tail
    const line = new Uint8Array(this.#pendingBytes + tail.length)
    let position = 0
    for (const piece of this.#pending) {
      line.set(piece, position)
      position += piece.length
    }
    line.set(tail, position)
    this.#pending = []
    this.#pendingBytes = 0
    return line
  }
}

/** Where `separator` first stands in `line`, or -1. */
export function findBytes(line: Uint8Array, separator: Uint8Array): number {
  const first = separator[0]!
  for (let at = line.indexOf(first); at >= 0; at = line.indexOf(first, at + 1)) {
    if (at + separator.length > line.length) return -1
    if (separator.every((byte, index) => line[at + index] === byte)) return at
  }
  return -1
}
