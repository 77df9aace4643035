/**
 * Commands that wait for something in the cluster: a line of progress, looks at intervals, and an end by Ctrl-C that leaves
 * the cluster to itself.
 */
import { setTimeout as delay } from 'node:timers/promises'
import type { Context } from './context.ts'
import { EXIT } from './exit-codes.ts'
import { onInterrupt } from './interrupts.ts'

/** Time between two looks, in ms: soon enough for a person, seldom enough for a controller. */
const LOOK_EVERY_MS = 500

export interface Progress {
  /** Replaces the line on a terminal; elsewhere prints it if it is another than before. */
  show(text: string): Promise<void>
}

/**
 * Calls `look` at intervals until it returns true.
 *
 * @returns Whether it did; false after Ctrl-C, with the exit code set.
 */
export async function waitFor(
  context: Context,
  look: (progress: Progress) => Promise<boolean>,
): Promise<boolean> {
  const { err } = context
  const interrupted = new AbortController()
  const release = onInterrupt(() => interrupted.abort())
  let shown = ''
  const progress: Progress = {
    show: async (text) => {
      if (err.isTty) err.overwrite(text)
      else if (text !== shown) await err.line(text)
      shown = text
    },
  }
  try {
    for (;;) {
      if (await look(progress)) return true
      await delay(LOOK_EVERY_MS, null, { signal: interrupted.signal }).catch(() => undefined) // told by the signal
      if (interrupted.signal.aborted) {
        context.exitCode = EXIT.interrupted
        return false
      }
    }
  } finally {
    err.overwrite('')
    release()
  }
}
