/**
 * Zstandard where the runtime has none to lend: browsers, and Node before 22.15. The reference implementation as
 * WebAssembly, from two packages: `zstddec` reads (fast, small), `@hpcc-js/wasm-zstd` writes (its reading copies byte by
 * byte). Each is loaded when it is needed; the writer takes some 15 MiB of memory.
 *
 * Reading is one-shot into memory whose size `zstd-frames.ts` bounds beforehand, so no claim of the input is trusted.
 *
 * @see RFC 8878.
 */
import { RecordError } from '../record-error.ts'
import { malformed, tooLarge } from './bounded-output.ts'
import type { Codec } from './codec.ts'
import { measureZstd } from './zstd-frames.ts'

/** zstd's own default, and Kafka's. */
const LEVEL = 3

/**
 * @param canWrite - Load what compressing needs, too; without it `compress` throws `RECORDS_CODEC_NOT_LOADED`.
 * @throws {RecordError} `RECORDS_CODEC_UNAVAILABLE`.
 */
export async function loadZstd(canWrite: boolean): Promise<Codec> {
  const { decoder, writer } = await loadModules(canWrite)
  return {
    name: 'zstd',
    id: 4,

    compress(bytes) {
      if (writer !== null) return writer.compress(bytes, LEVEL)
      throw new RecordError(
        'RECORDS_CODEC_NOT_LOADED',
        'Cannot compress with zstd: it was loaded for reading only',
      )
    },

    decompress(bytes, sizeMax) {
      const measured = measureZstd(bytes)
      if (measured.sizeClaimed !== null && measured.sizeClaimed > sizeMax) throw tooLarge('zstd', sizeMax)
      if (measured.sizeMax === 0) return new Uint8Array(0)
      const inflated = decoder.decode(bytes, Math.max(1, Math.min(measured.sizeMax, sizeMax)))
      // The decoder tells a fault of any kind by an empty result; with room to spare it cannot be for want of room.
      if (inflated.length > 0) return inflated
      throw measured.sizeMax > sizeMax ? tooLarge('zstd', sizeMax) : malformed('zstd', 'it is damaged')
    },
  }
}

/** What a page must allow: the code is WebAssembly, which one of the packages gets out of a `data:` URL. */
const NEEDED_OF_A_PAGE = `its Content-Security-Policy must allow 'wasm-unsafe-eval' in script-src and data: in connect-src`

async function loadModules(canWrite: boolean) {
  try {
    const { ZSTDDecoder } = await import('zstddec')
    const decoder = new ZSTDDecoder()
    await decoder.init()
    const writer = canWrite ? await (await import('@hpcc-js/wasm-zstd')).Zstd.load() : null
    return { decoder, writer }
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause)
    const message = `zstd cannot be loaded, which is WebAssembly (in a page, ${NEEDED_OF_A_PAGE}): ${why}`
    throw new RecordError('RECORDS_CODEC_UNAVAILABLE', message, { cause })
  }
}
