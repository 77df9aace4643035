/**
 * What the operating system's error numbers mean in terms of the file port.
 */
import { FileError } from '../files.ts'
import type { FileErrorCode } from '../files.ts'

const CODES: ReadonlyMap<string, FileErrorCode> = new Map<string, FileErrorCode>([
  ['ENOENT', 'FILE_NOT_FOUND'],
  ['ENOTDIR', 'FILE_NOT_FOUND'],
  ['EEXIST', 'FILE_EXISTS'],
  ['EACCES', 'FILE_NO_ACCESS'],
  ['EPERM', 'FILE_NO_ACCESS'],
  ['EROFS', 'FILE_NO_ACCESS'],
  ['ENOSPC', 'FILE_NO_SPACE'],
  ['EDQUOT', 'FILE_NO_SPACE'],
  ['EFBIG', 'FILE_NO_SPACE'],
  ['EMFILE', 'FILE_TOO_MANY_OPEN'],
  ['ENFILE', 'FILE_TOO_MANY_OPEN'],
  ['ENOTEMPTY', 'FILE_NOT_EMPTY'],
])

/** The errno name of whatever was thrown, such as `ENOSPC`; an empty text when it has none. */
export function errnoOf(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  return typeof code === 'string' ? code : ''
}

/**
 * @param did - What was attempted, such as `Opened`; begins the message.
 * @returns The port's error; one that is of the port already comes back as it is.
 */
export function toFileError(error: unknown, did: string, path: string): FileError {
  if (error instanceof FileError) return error
  const errno = errnoOf(error)
  const reason = error instanceof Error ? error.message : String(error)
  return new FileError(CODES.get(errno) ?? 'FILE_IO', `${did} ${path}: ${reason}`, path, { cause: error })
}
