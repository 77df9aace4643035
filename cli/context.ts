/** What a command gets from the process it runs in, so that a test can hand it something else. */
import { EXIT } from './exit-codes.ts'
import type { ExitCode } from './exit-codes.ts'
import { Terminal } from './terminal.ts'

export interface Context {
  /** Results, and nothing else. */
  readonly out: Terminal
  /** Everything that is said beside them: errors, progress, summaries. */
  readonly err: Terminal
  readonly input: NodeJS.ReadableStream & { readonly isTTY?: boolean }
  readonly environment: Readonly<Record<string, string | undefined>>
  /** What the process will answer; a command that fails without throwing sets it. */
  exitCode: ExitCode
  /** Called when whoever read stdout is gone (`millrace tail … | head`). */
  onBrokenPipe: () => void
}

/** The context of this process. */
export function processContext(): Context {
  const context: Context = {
    out: new Terminal(process.stdout, process.env),
    err: new Terminal(process.stderr, process.env),
    input: process.stdin,
    environment: process.env,
    exitCode: EXIT.ok,
    // Nobody is left to hear more: done, and no error, as for other tools in a pipe.
    onBrokenPipe: () => process.exit(EXIT.ok),
  }
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error
    context.onBrokenPipe()
  })
  process.stderr.on('error', () => undefined) // Where the error would be told is what broke.
  return context
}
