/**
 * What goes wrong with the cluster's metadata: bytes that are no record, and records that do not fit the state they
 * are folded into. Both mean that the log or snapshot at hand must not be believed (faults.md ST-5, X21).
 */
export class MetadataError extends Error {
  override readonly name = 'MetadataError'
  /** `METADATA_RECORD_CORRUPT`: undecodable. `METADATA_RECORD_INVALID`: decodable, but breaks a rule of the image. */
  readonly code: 'METADATA_RECORD_CORRUPT' | 'METADATA_RECORD_INVALID'

  constructor(code: MetadataError['code'], message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}
