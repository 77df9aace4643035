/** Makes a codec of a native one: same results, our errors. */
import { malformed, tooLarge } from './bounded-output.ts'
import type { Codec } from './codec.ts'
import type { NativeCodec } from './native-codecs.ts'

export function codecFromNative(name: 'gzip' | 'zstd', id: number, native: NativeCodec): Codec {
  return {
    name,
    id,
    compress: (bytes) => native.compress(bytes),
    decompress(bytes, sizeMax) {
      try {
        return native.decompress(bytes, sizeMax)
      } catch (error) {
        if (error instanceof RangeError) throw tooLarge(name, sizeMax, { cause: error })
        throw malformed(name, error instanceof Error ? error.message : 'it is damaged', { cause: error })
      }
    },
  }
}
