/**
 * Paths of the file port: absolute (on Windows `C:/…`), `/` between the parts, no `.` or `..`. One place, so that every adapter
 * understands and refuses the same ones.
 */
import { FileError } from './files.ts'

/**
 * The parts of a path, none for the root.
 *
 * @throws {FileError} `FILE_NO_ACCESS` for a relative path or a `.`, `..`, NUL or backslash in it: nothing in the
 *   broker builds such a path, so one that shows up came from somewhere it must not (faults.md X21).
 */
export function pathParts(path: string): string[] {
  const parts = path.split('/').filter((part) => part !== '')
  const isSafe =
    (path.startsWith('/') || /^[A-Za-z]:\//.test(path)) &&
    parts.every((part) => part !== '.' && part !== '..' && !part.includes('\0') && !part.includes('\\'))
  if (!isSafe) {
    throw new FileError(
      'FILE_NO_ACCESS',
      `Used a path: ${JSON.stringify(path)} is not plain and absolute`,
      path,
    )
  }
  return parts
}

/** The directory that holds `path`; the root's is the root. */
export function parentOf(path: string): string {
  return '/' + pathParts(path).slice(0, -1).join('/')
}
