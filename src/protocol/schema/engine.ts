/**
 * The form of the engine on this platform: compiled, or interpreted where the host was started without the right to compile
 * strings (`--disallow-code-generation-from-strings`), which only trying can tell.
 *
 * In the browser's build `engine-interpreted.ts` stands in place of this file (vite.browser.config.ts): there trying counts as a
 * violation of the page's Content-Security-Policy and is reported as one, whatever is done about the exception.
 */
import { compileCodec } from './compile.ts'
import type { Codec, Message } from './fields.ts'
import { interpretCodec } from './interpreter.ts'

/** Whether this host lets us compile. */
export const canCompile: boolean = tryToCompile()

/** Makes the codec of `message` in `version`, one of its versions. */
export function codecFor(message: Message, version: number): Codec {
  return canCompile ? compileCodec(message, version) : interpretCodec(message, version)
}

function tryToCompile(): boolean {
  try {
    // eslint-disable-next-line @typescript-eslint/no-implied-eval -- the one way to find out
    return typeof new Function('return 0') === 'function'
  } catch {
    return false // the host said no: that is the answer, not a failure
  }
}
