/**
 * What clients log while a test does harm to their brokers: kept, and shown only when the test fails. And waiting that ends:
 * a step that takes too long fails with where everybody stood, which a test's own time-out would not tell.
 */
import type { LogFields, Logger } from '../../src/env/logger.ts'

/** Lines kept of each client: the last of some seconds of failing requests. */
const LINES_MAX = 40

export class ClientLogs {
  readonly #lines = new Map<string, string[]>()
  readonly #startMs = performance.now()

  /** The logger of one client. */
  of(name: string): Logger {
    const lines: string[] = []
    this.#lines.set(name, lines)
    const log = (message: string, { error, ...fields }: LogFields = {}): void => {
      const afterMs = Math.round(performance.now() - this.#startMs)
      const reason = error instanceof Error ? `: ${error.message}` : ''
      lines.push(`${afterMs} ms | ${message}${reason} ${JSON.stringify(fields)}`)
      if (lines.length > LINES_MAX) lines.shift()
    }
    return { debug: () => undefined, info: log, warn: log, error: log }
  }

  /** The last lines of every client, with its name in front. */
  lines(): readonly string[] {
    const nowMs = Math.round(performance.now() - this.#startMs)
    return [...this.#lines].flatMap(([name, lines]) => [
      `${name} at ${nowMs} ms:`,
      ...lines.map((line) => `  ${line}`),
    ])
  }
}

/** Settles as `work` does. @throws When it has not within `timeoutMs`, with what `describe` says then. */
export async function within<T>(
  what: string,
  timeoutMs: number,
  work: Promise<T>,
  describe: () => string,
): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new Error(`${what}: not within ${timeoutMs} ms\n${describe()}`)),
      timeoutMs,
    )
  })
  try {
    return await Promise.race([work, late])
  } finally {
    clearTimeout(timer)
  }
}
