/** From a path as a person writes it to one as the file port wants it. */
import { resolve, sep } from 'node:path'

/** @param path - Absolute, or relative to where the process was started. @returns Absolute, with `/` between names. */
export function absolutePath(path: string): string {
  return resolve(path).split(sep).join('/')
}
