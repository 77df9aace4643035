/** What `crc-32` exports for CRC-32C; the package ships types only for CRC-32. */
declare module 'crc-32/crc32c.js' {
  const CRC32C: {
    /** CRC-32C of all of `bytes` as a signed 32-bit integer, going on from `seed` (the CRC of what came before). */
    buf(bytes: Uint8Array, seed?: number): number
  }
  export = CRC32C
}
