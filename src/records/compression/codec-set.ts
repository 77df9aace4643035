/**
 * Codecs by name and by id. Each is loaded on first use and at most once, so that a process that never meets
 * compressed batches does not carry the decoders; afterwards its functions are synchronous.
 *
 * Invariant: a codec in a set is ready for use.
 */
import { assertNever } from '../../base/assert.ts'
import { codecId } from '../batch-header.ts'
import { RecordError } from '../record-error.ts'
import { CODEC_NAMES, type Codec, type CodecName } from './codec.ts'
import { codecFromNative } from './from-native.ts'
import { findNativeCodec } from './native-codecs.ts'

export interface LoadOptions {
  /** False spares what only compressing needs (zstd's writer). Default true. */
  readonly canWrite?: boolean
}

/** Portable codecs with a module to load, for the process. */
const loaded = new Map<string, Promise<Codec>>()

/**
 * Loads a codec: the runtime's own where `env` has lent one, else the portable form. What has been loaded once is there
 * within the turn, which a simulation counts on.
 */
export async function loadCodec(name: CodecName, options: LoadOptions = {}): Promise<Codec> {
  switch (name) {
    case 'gzip': {
      const native = findNativeCodec('gzip')
      if (native !== null) return codecFromNative('gzip', 1, native)
      return once('gzip', async () => (await import('./gzip.ts')).gzip)
    }
    case 'snappy':
      return once('snappy', async () => (await import('./snappy.ts')).snappy)
    case 'lz4':
      return once('lz4', async () => (await import('./lz4.ts')).lz4)
    case 'zstd': {
      const native = findNativeCodec('zstd')
      if (native !== null) return codecFromNative('zstd', 4, native)
      const canWrite = options.canWrite ?? true
      const key = canWrite ? 'zstd' : 'zstd, for reading'
      return once(key, async () => (await import('./zstd.ts')).loadZstd(canWrite))
    }
    default:
      return assertNever(name)
  }
}

/** Loads what `key` names unless that was done before; a failed load may be tried again. */
function once(key: string, load: () => Promise<Codec>): Promise<Codec> {
  const known = loaded.get(key)
  if (known !== undefined) return known
  const loading = load()
  loaded.set(key, loading)
  loading.catch(() => loaded.delete(key))
  return loading
}

/** What a reader or a producer has loaded so far. */
export class CodecSet {
  readonly #options: LoadOptions
  readonly #ready = new Map<number, Codec>()
  readonly #loading = new Map<CodecName, Promise<Codec>>()

  constructor(options: LoadOptions = {}) {
    this.#options = options
  }

  /** Loads a codec into the set; at once when it is there. A failed load may be tried again. */
  async load(name: CodecName): Promise<Codec> {
    const underWay = this.#loading.get(name)
    if (underWay !== undefined) return underWay
    const loading = loadCodec(name, this.#options)
    this.#loading.set(name, loading)
    try {
      const codec = await loading
      this.#ready.set(codec.id, codec)
      return codec
    } catch (error) {
      this.#loading.delete(name)
      throw error
    }
  }

  /**
   * The name of the codec that reading a batch needs and the set lacks, or null when the batch can be read now.
   *
   * @throws {RecordError} `RECORDS_CODEC_UNKNOWN` for ids 5 to 7.
   */
  findMissing(attributes: number): CodecName | null {
    const id = codecId(attributes)
    if (id === 0 || this.#ready.has(id)) return null
    return nameOf(id)
  }

  /**
   * The codec of a batch, null when it is not compressed.
   *
   * @throws {RecordError} `RECORDS_CODEC_UNKNOWN` for ids 5 to 7; `RECORDS_CODEC_NOT_LOADED` when it must be loaded first.
   */
  getFor(attributes: number): Codec | null {
    const id = codecId(attributes)
    if (id === 0) return null
    const codec = this.#ready.get(id)
    if (codec !== undefined) return codec
    throw new RecordError(
      'RECORDS_CODEC_NOT_LOADED',
      `Cannot read a batch: codec ${nameOf(id)} is not loaded`,
    )
  }
}

function nameOf(id: number): CodecName {
  const name = CODEC_NAMES[id]
  if (name === undefined || name === 'none') {
    throw new RecordError('RECORDS_CODEC_UNKNOWN', `Cannot read a batch: codec id is ${id}, wanted 0 to 4`)
  }
  return name
}
