/**
 * What a compression codec is to a record batch: two synchronous functions over whole blocks, the second one bounded.
 * A batch is at most some megabytes, so whole blocks are simpler than streams and cost no more.
 */

/** Codecs by their id in the batch's attributes; id 0 is no codec. */
export const CODEC_NAMES = ['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const

export type CodecName = Exclude<(typeof CODEC_NAMES)[number], 'none'>

export interface Codec {
  readonly name: CodecName
  /** Bits 0 to 2 of the batch's attributes. */
  readonly id: number

  /** Compresses a block. The result may share memory with nothing the caller holds. */
  compress(bytes: Uint8Array): Uint8Array

  /**
   * Inflates a block.
   *
   * @param sizeMax - Bytes that may come out. Inflating stops there: memory taken is at most this, plus the codec's
   *   window, whatever the input claims.
   * @throws {RecordError} `RECORDS_TOO_LARGE` past `sizeMax`; `RECORDS_COMPRESSED_MALFORMED` for input that is cut,
   *   damaged or not of this codec.
   */
  decompress(bytes: Uint8Array, sizeMax: number): Uint8Array
}
