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

/** A logger for all machines, which keeps everything but debug lines in `said`. */
export function keepSaid(said: Said[]): Logger {
  const at =
    (level: keyof Logger) =>
    (message: string, fields: LogFields = {}) => {
      const { node, virtualMs, ...rest } = fields
      said.push({ atMs: Number(virtualMs), node: String(node), level, message, fields: rest })
    }
  return { debug: () => undefined, info: at('info'), warn: at('warn'), error: at('error') }
}

export function formatSaid({ atMs, node, level, message, fields }: Said): string {
  const told = Object.entries(fields).map(([key, value]) =>
    value instanceof Error ? `${key}=${value.message}` : `${key}=${JSON.stringify(value)}`,
  )
  return `${atMs.toFixed(3)} ${node} ${level} ${message} ${told.join(' ')}`
}
