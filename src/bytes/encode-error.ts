/** What every encoder of Millrace throws when a value does not fit its wire form: the fault of the caller. */
export class EncodeError extends Error {
  override readonly name = 'EncodeError'
  readonly code = 'ENCODE_FAILED'
}
