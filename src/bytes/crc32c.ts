/**
 * CRC-32C (Castagnoli), the checksum of record batches: polynomial 0x1EDC6F41, reflected, initial and final value
 * all ones (RFC 3720, section 12.1).
 *
 * The portable form (`crc-32`) always works. `env/node` installs a native one at load when the optional package
 * is there; it is several times as fast, but a call into it costs a fixed price, so short ranges stay in
 * JavaScript. Both give the same result, which the tests check.
 */
import portable from 'crc-32/crc32c.js'

/**
 * Ranges of at least this many bytes go to the native form. Measured with Node 20 on x86-64: a native call costs
 * 130 ns and 0.09 ns a byte, the portable form 40 ns and 0.55 ns a byte, `subarray` included; they meet at 230 to 260 B.
 */
const NATIVE_BYTES_MIN = 256

/** A CRC-32C of all of `bytes`, going on from `seed`: the CRC of the bytes before, 0 for none. */
export type Crc32cFunction = (bytes: Uint8Array, seed: number) => number

let native: Crc32cFunction | null = null

/** Installs (or with null removes) a native form for long ranges. Process-wide: results do not depend on it. */
export function setNativeCrc32c(crc: Crc32cFunction | null): void {
  native = crc
}

/**
 * CRC-32C of `bytes[start, end)`, without copying it.
 *
 * @param seed - CRC of the bytes that come before these, to compute one CRC over several pieces; 0 at the start.
 * @returns An unsigned 32-bit integer.
 */
export function crc32c(bytes: Uint8Array, start = 0, end = bytes.length, seed = 0): number {
  const range = start === 0 && end === bytes.length ? bytes : bytes.subarray(start, end)
  const crc =
    native !== null && range.length >= NATIVE_BYTES_MIN ? native(range, seed) : portable.buf(range, seed)
  return crc >>> 0
}
