/** The `millrace` command run in the process of the test, to its end, with streams of its own: faster than a process each. */
import { Readable, Writable } from 'node:stream'
import { vi } from 'vitest'
import type { Context } from '../../cli/context.ts'
import { EXIT } from '../../cli/exit-codes.ts'
import { run } from '../../cli/program.ts'
import { Terminal } from '../../cli/terminal.ts'

export interface CommandResult {
  readonly code: number | null
  readonly out: string
  readonly err: string
}

/** One at a time: commander reads the environment of the process. */
export async function runCommand(
  args: readonly string[],
  input: string | Buffer = '',
  environment: Readonly<Record<string, string>> = {},
): Promise<CommandResult> {
  const out = new Collected()
  const err = new Collected()
  const context: Context = {
    out: new Terminal(out, environment),
    err: new Terminal(err, environment),
    input: Readable.from(input.length === 0 ? [] : [Buffer.from(input)]),
    environment,
    exitCode: EXIT.ok,
    onBrokenPipe: () => undefined,
  }
  for (const name of Object.keys(process.env)) if (name.startsWith('MILLRACE_')) vi.stubEnv(name, undefined)
  for (const [name, value] of Object.entries(environment)) vi.stubEnv(name, value)
  try {
    const code = await run(context, args)
    return { code, out: out.text, err: err.text }
  } finally {
    vi.unstubAllEnvs()
  }
}

class Collected extends Writable {
  readonly #chunks: Buffer[] = []

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.#chunks.push(chunk)
    done()
  }

  get text(): string {
    return Buffer.concat(this.#chunks).toString()
  }
}
