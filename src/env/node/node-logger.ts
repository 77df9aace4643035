/**
 * The logging port as lines of text, one per call:
 *
 *   2026-01-01T00:00:00.000Z INFO  message key=value key="value with spaces" error="CODE: message"
 *
 * Nothing in a line can end it or move a terminal's cursor: control characters, line separators and marks that
 * reverse text are written as escapes, whatever a peer sent (faults.md X27).
 */
import type { LogFields, Logger } from '../logger.ts'

export type LogLevel = 'debug' | 'info' | 'warn' | 'error' | 'silent'

const RANKS: Readonly<Record<LogLevel, number>> = { debug: 0, info: 1, warn: 2, error: 3, silent: 4 }

/** @param write - Gets each line without its line end. */
export function lineLogger(level: LogLevel, write: (line: string) => void): Logger {
  const at =
    (own: 'debug' | 'info' | 'warn' | 'error') =>
    (message: string, fields: LogFields = {}) => {
      if (RANKS[own] < RANKS[level]) return
      const time = new Date().toISOString()
      let line = `${time} ${own.toUpperCase().padEnd(5)} ${escape(message)}`
      for (const [key, value] of Object.entries(fields)) {
        if (value !== undefined) line += ` ${escape(key)}=${fieldText(value, own === 'error')}`
      }
      write(line)
    }
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') }
}

function fieldText(value: Exclude<LogFields[string], undefined>, withStack: boolean): string {
  if (value instanceof Error) return quote(errorText(value, withStack))
  if (typeof value !== 'string') return String(value)
  return /^[\w.:/@+-]+$/.test(value) ? value : quote(value)
}

/** Causes come along: the message says what was attempted, the cause what the system answered. */
function errorText(error: Error, withStack: boolean): string {
  const code = 'code' in error && typeof error.code === 'string' ? `${error.code}: ` : ''
  const own = code + error.message + (withStack && error.stack !== undefined ? `\n${error.stack}` : '')
  return error.cause instanceof Error ? `${own}, because ${errorText(error.cause, false)}` : own
}

function quote(text: string): string {
  return `"${escape(text.replace(/[\\"]/g, '\\$&'))}"`
}

// C0, DEL, C1, line and paragraph separators, direction marks and overrides, lone surrogates' neighbours excepted.

const UNPRINTABLE = /[\u0000-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g

function escape(text: string): string {
  return text.replace(UNPRINTABLE, (character) => {
    if (character === '\n') return '\\n'
    return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`
  })
}
