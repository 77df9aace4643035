/** What the machines of a simulated world have logged, in the order of virtual time. */
import type { LogFields, Logger } from '../env/index.ts'

/** A line that a machine has logged. */
export interface Said {
  /** Virtual ms since the world began. */
  readonly atMs: number
  /** Name of the machine. */
  readonly node: string
  readonly level: keyof Logger
  readonly message: string
  readonly fields: LogFields
}

/** A logger for all machines, which keeps everything but debug lines in `said`, and tells listeners those, too. */
export function keepSaid(said: Said[], listeners: readonly ((line: Said) => void)[]): Logger {
  const at =
    (level: keyof Logger) =>
    (message: string, fields: LogFields = {}) => {
      if (level === 'debug' && listeners.length === 0) return
      const { node, virtualMs, ...rest } = fields
      const line = { atMs: Number(virtualMs), node: String(node), level, message, fields: rest }
      if (level !== 'debug') said.push(line)
      for (const listener of listeners) listener(line)
    }
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') }
}

export function formatSaid({ atMs, node, level, message, fields }: Said): string {
  const told = Object.entries(fields).map(([key, value]) =>
    value instanceof Error ? `${key}=${value.message}` : `${key}=${JSON.stringify(value)}`,
  )
  return `${atMs.toFixed(3)} ${node} ${level} ${message} ${told.join(' ')}`
}
