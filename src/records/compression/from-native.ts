/** Makes a codec of a native one: same results, our errors. */
import { RecordError } from '../record-error.ts'
import { malformed, tooLarge } from './bounded-output.ts'
import type { Codec } from './codec.ts'
import type { NativeCodec } from './native-codecs.ts'

export function codecFromNative(name: 'gzip' | 'zstd', id: number, native: NativeCodec): Codec {
  return {
    name,
    id,
    compress: (bytes) => native.compress(bytes),
    decompress(bytes, sizeMax) {
      let inflated: Uint8Array | null
      try {
        inflated = native.decompress(bytes, sizeMax)
      } catch (error) {
        if (error instanceof RecordError) throw error
        throw malformed(name, error instanceof Error ? error.message : 'it is damaged', { cause: error })
      }
      if (inflated === null || inflated.length > sizeMax) throw tooLarge(name, sizeMax)
      return inflated
    },
  }
}
