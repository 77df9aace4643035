/**
 * Ctrl-C, SIGTERM and a terminal that goes away: the first asks the command to finish, the second ends the process at
 * once.
 */
import { EXIT } from './exit-codes.ts'

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const
export type Interrupt = (typeof SIGNALS)[number]

/**
 * Calls `handle` for the first signal.
 *
 * @returns What gives the signals back to the system.
 */
export function onInterrupt(handle: (signal: Interrupt) => void): () => void {
  let isAsked = false
  const listener = (signal: NodeJS.Signals): void => {
    if (isAsked) process.exit(EXIT.interrupted)
    isAsked = true
    handle(signal as Interrupt)
  }
  for (const signal of SIGNALS) process.on(signal, listener)
  return () => {
    for (const signal of SIGNALS) process.off(signal, listener)
  }
}
