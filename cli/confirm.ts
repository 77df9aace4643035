/** Asks a person before something that cannot be undone. */
import { createInterface } from 'node:readline/promises'
import type { Context } from './context.ts'

/** Whether there is somebody to ask. */
export function canAsk({ input, err }: Context): boolean {
  return input.isTTY === true && err.isTty
}

/** @returns Whether the answer was yes; Ctrl-C and Ctrl-D are a no. */
export async function confirm({ input, err }: Context, text: string): Promise<boolean> {
  const question = createInterface({ input, output: process.stderr })
  const abort = new AbortController()
  question.on('close', () => abort.abort())
  try {
    const answer = await question.question(`${text} [y/N] `, { signal: abort.signal })
    return /^y(es)?$/i.test(answer.trim())
  } catch {
    await err.line()
    return false
  } finally {
    question.close()
  }
}
