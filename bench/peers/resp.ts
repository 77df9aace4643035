/**
 * Redis's protocol (RESP 2), as much of it as writing and reading a stream needs.
 *
 *   command := '*' count CRLF { '$' size CRLF bytes CRLF }
 *   reply   := ('+' | '-' | ':') line CRLF | '$' size CRLF bytes CRLF | '*' count CRLF { reply }
 *
 * The reader gives what it sees token by token, arrays by their counts only: replies of a megabyte are read as they come,
 * and nothing is looked at twice.
 */

export type RespToken =
  | { readonly kind: 'bytes'; readonly bytes: Buffer }
  | { readonly kind: 'array' | 'number'; readonly value: number }
  | { readonly kind: 'text' | 'error'; readonly text: string }

const CR = 0x0d
const [ARRAY, BULK, NUMBER, ERROR] = ['*', '$', ':', '-'].map((sign) => sign.charCodeAt(0))

export function encodeCommand(parts: readonly (string | Uint8Array)[]): Buffer {
  const pieces: Buffer[] = [Buffer.from(`*${parts.length}\r\n`)]
  for (const part of parts) {
    const bytes = Buffer.from(part)
    pieces.push(Buffer.from(`$${bytes.length}\r\n`), bytes, Buffer.from('\r\n'))
  }
  return Buffer.concat(pieces)
}

export class RespReader {
  #rest: Buffer = Buffer.alloc(0)

  /** Calls `onToken` for every token that is complete. Bytes are borrowed: they are valid until it returns. */
  read(chunk: Buffer, onToken: (token: RespToken) => void): void {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk])
    let position = 0
    for (;;) {
      const end = bytes.indexOf(CR, position)
      if (end === -1 || end + 2 > bytes.length) break
      const sign = bytes[position]
      let next = end + 2
      if (sign === BULK) {
        const size = toInteger(bytes, position + 1, end)
        if (next + size + 2 > bytes.length) break
        onToken({ kind: 'bytes', bytes: bytes.subarray(next, next + size) })
        next += size + 2
      } else if (sign === ARRAY || sign === NUMBER) {
        onToken({ kind: sign === ARRAY ? 'array' : 'number', value: toInteger(bytes, position + 1, end) })
      } else {
        const text = bytes.toString('utf8', position + 1, end)
        onToken({ kind: sign === ERROR ? 'error' : 'text', text })
      }
      position = next
    }
    this.#rest = bytes.subarray(position)
  }
}

function toInteger(bytes: Buffer, start: number, end: number): number {
  let value = 0
  for (let index = start; index < end; index++) value = value * 10 + bytes[index]! - 0x30
  return value
}
