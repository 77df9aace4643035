/**
 * Gzip where the runtime has none to lend, that is in browsers: `pako`, a port of zlib. It verifies the checksum, reads
 * several members in a row and hands out chunks, so that the bound is checked every 64 KiB.
 *
 * @see RFC 1952.
 */
import { deflate, Inflate } from 'pako'
import { RecordError } from '../record-error.ts'
import { malformed, tooLarge } from './bounded-output.ts'
import type { Codec } from './codec.ts'

/** zlib's number for "gzip wrapper only": 16 more than the 15 bits of the window. */
const GZIP_WINDOW_BITS = 31

/** Kafka's clients default to zlib's own default, which is 6. */
const LEVEL = 6

export const gzip: Codec = {
  name: 'gzip',
  id: 1,

  compress: (bytes) => deflate(bytes, { windowBits: GZIP_WINDOW_BITS, level: LEVEL }),

  decompress(bytes, sizeMax) {
    const chunks: Uint8Array[] = []
    let size = 0
    const inflate = new Inflate({ windowBits: GZIP_WINDOW_BITS })
    inflate.onData = (chunk) => {
      size += chunk.length
      if (size > sizeMax) throw tooLarge('gzip', sizeMax)
      chunks.push(chunk)
    }
    try {
      inflate.push(bytes, true)
    } catch (error) {
      if (error instanceof RecordError) throw error
      throw malformed('gzip', error instanceof Error ? error.message : 'it is damaged', { cause: error })
    }
    if (inflate.err !== 0)
      throw malformed('gzip', inflate.msg === '' ? `zlib says ${inflate.err}` : inflate.msg)
    if (!inflate.ended) throw malformed('gzip', 'it is cut')
    return concatenate(chunks, size)
  },
}

function concatenate(chunks: readonly Uint8Array[], size: number): Uint8Array {
  if (chunks.length === 1) return chunks[0]!
  const bytes = new Uint8Array(size)
  let position = 0
  for (const chunk of chunks) {
    bytes.set(chunk, position)
    position += chunk.length
  }
  return bytes
}
