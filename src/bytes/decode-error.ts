/** What every decoder of Millrace throws when bytes are not what they should be: the fault of the sender. */
export class DecodeError extends Error {
  override readonly name = 'DecodeError'
  readonly code = 'DECODE_FAILED'
  /** Byte at which decoding stopped, counted from the start of the decoded byte string. */
  readonly position: number

  constructor(message: string, position: number, options?: ErrorOptions) {
    super(message, options)
    this.position = position
  }
}
