/**
 * What is faster in native code than in JavaScript and is there or not: CRC-32C by `@node-rs/crc32` (an optional
 * dependency, 11 to 16 GB/s against 1.9) and the compressors of `node:zlib`. The public surface hands these to the
 * folders that use them; nothing else in `src/` may load them.
 */
import { createRequire } from 'node:module'
import * as zlib from 'node:zlib'

/** CRC-32C of `bytes`, going on from `seed` (the CRC of what comes before). */
export type Crc32c = (bytes: Uint8Array, seed?: number) => number

/** The native CRC-32C, or null where it is not installed or has no binary for this platform. */
export function loadNativeCrc32c(): Crc32c | null {
  try {
    const native = createRequire(import.meta.url)('@node-rs/crc32') as { crc32c: Crc32c }
    // A wrong checksum would call every good batch corrupt: the check value of RFC 3720's polynomial decides.
    const isRight = native.crc32c(new TextEncoder().encode('123456789')) === 0xe3069283
    return isRight ? native.crc32c : null
  } catch {
    // Optional by design: `crc-32` takes over.
    return null
  }
}

/** A compressor and its bounded inverse, both synchronous: threadpool order would be nondeterministic. */
export interface NativeCodec {
  compress(bytes: Uint8Array): Uint8Array
  /** @throws {RangeError} When the output would pass `sizeMax` bytes. @throws {Error} When the input is damaged. */
  decompress(bytes: Uint8Array, sizeMax: number): Uint8Array
}

export const nativeGzip: NativeCodec = {
  compress: (bytes) => zlib.gzipSync(bytes),
  decompress: (bytes, sizeMax) => bounded(sizeMax, (options) => zlib.gunzipSync(bytes, options)),
}

/** From Node 22.15 on; null before. */
export function loadNativeZstd(): NativeCodec | null {
  const { zstdCompressSync, zstdDecompressSync } = zlib as typeof zlib & Partial<ZstdFunctions>
  if (zstdCompressSync === undefined || zstdDecompressSync === undefined) return null
  return {
    compress: (bytes) => zstdCompressSync(bytes),
    decompress: (bytes, sizeMax) => bounded(sizeMax, (options) => zstdDecompressSync(bytes, options)),
  }
}

/** Node takes no bound of 0, which is what nothing at all fits into. */
function bounded(
  sizeMax: number,
  inflate: (options: { readonly maxOutputLength: number }) => Uint8Array,
): Uint8Array {
  const output = inflate({ maxOutputLength: Math.max(1, sizeMax) })
  if (output.length > sizeMax) throw new RangeError(`More than ${sizeMax} bytes came out`)
  return output
}

interface ZstdFunctions {
  zstdCompressSync(bytes: Uint8Array): Uint8Array
  zstdDecompressSync(bytes: Uint8Array, options: { maxOutputLength: number }): Uint8Array
}
