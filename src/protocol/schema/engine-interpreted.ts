/**
 * The form of the engine in browsers, which take this file in place of `engine.ts`: pages may forbid to compile strings, and
 * report even the attempt. A message costs two to seven times what it does compiled, 1 to 4 µs for a Produce
 * or Fetch with six partitions (Node 20); its records are no part of that.
 */
import type { Codec, Message } from './fields.ts'
import { interpretCodec } from './interpreter.ts'

/** Strings are never compiled. */
export const canCompile = false

/** Makes the codec of `message` in `version`, one of its versions. */
export function codecFor(message: Message, version: number): Codec {
  return interpretCodec(message, version)
}
