/**
 * The seam through which `env/node` lends the runtime's own compression (zlib: gzip everywhere, zstd from Node 22.15 on). It
 * is several times as fast as the portable form and costs no memory of its own. Nothing here knows Node.
 *
 * Installed at load, before any codec is. Both forms write what the other reads.
 */

export interface NativeCodec {
  compress(bytes: Uint8Array): Uint8Array

  /**
   * Inflates all members or frames of `bytes`, holding no more than `sizeMax` bytes of output at any time.
   *
   * @throws {RangeError} When more than `sizeMax` bytes would come out.
   * @throws {Error} When the input is damaged. Both become the cause of a `RecordError`.
   */
  decompress(bytes: Uint8Array, sizeMax: number): Uint8Array
}

const codecs = new Map<'gzip' | 'zstd', NativeCodec>()

/** Installs (or with null removes) the runtime's form of a codec; `loadCodec` prefers it from then on. */
export function setNativeCodec(name: 'gzip' | 'zstd', codec: NativeCodec | null): void {
  if (codec === null) codecs.delete(name)
  else codecs.set(name, codec)
}

/** The runtime's form of a codec, or null. */
export function findNativeCodec(name: 'gzip' | 'zstd'): NativeCodec | null {
  return codecs.get(name) ?? null
}
