/**
 * What operations on a log fail with. Codes are stable; messages name file, position, expected and found where bytes
 * are to blame.
 *
 * - `LOG_OFFSET_OUT_OF_RANGE`: a read below the log start offset or above the log end offset.
 * - `LOG_CORRUPT`: bytes that were known to be safe are missing or wrong. The log is left as it is (docs/faults.md D3).
 * - `LOG_BAD_BATCH`: a follower was handed bytes that do not continue its log. Nothing was appended.
 * - `LOG_NO_SPACE`: the disk was full (or no file could be opened); what was appended and not yet written is undone.
 * - `LOG_FAILED`: a write or sync failed or its result is unknown. Final for this process's life (D4).
 * - `LOG_DIRECTORY_FAILED`: that, for every log of the data directory.
 * - `LOG_NOT_CLOSED_CLEANLY`: something could not be saved when the data directory was closed.
 * - `LOG_BUSY`: an append while the log is being truncated. - `LOG_CLOSED`: the log was closed or deleted.
 * - `LOG_NOT_CLEANABLE`: compaction cannot go on with this log. It stays as it is, and sound.
 * - `LOG_WRONG_TOPIC`: the directory belongs to another incarnation of the topic.
 * - `LOG_DIRECTORY_MISMATCH`: the data directory belongs to another cluster or node.
 */
export type LogErrorCode =
  | 'LOG_OFFSET_OUT_OF_RANGE'
  | 'LOG_CORRUPT'
  | 'LOG_BAD_BATCH'
  | 'LOG_NO_SPACE'
  | 'LOG_FAILED'
  | 'LOG_DIRECTORY_FAILED'
  | 'LOG_NOT_CLOSED_CLEANLY'
  | 'LOG_BUSY'
  | 'LOG_CLOSED'
  | 'LOG_NOT_CLEANABLE'
  | 'LOG_WRONG_TOPIC'
  | 'LOG_DIRECTORY_MISMATCH'

export class LogError extends Error {
  override readonly name = 'LogError'
  readonly code: LogErrorCode

  constructor(code: LogErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}

/** Bytes that were known to be safe are not what was written. */
export function isDamage(error: unknown): error is LogError {
  return error instanceof LogError && error.code === 'LOG_CORRUPT'
}

/** Corruption, described the way an operator needs it. */
export function corruptAt(path: string, position: number, found: string): LogError {
  return new LogError('LOG_CORRUPT', `Read ${path} at position ${position}: ${found}`)
}
