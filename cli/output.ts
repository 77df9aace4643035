/**
 * How results are shown: a table for a person, tab-separated lines for a pipe, JSON for a program.
 *
 *   table    titles, aligned columns, grouped numbers; cut to the screen     the default on a terminal
 *   plain    no titles, tabs between cells, exact numbers                    the default in a pipe
 *   json     one array of objects (one object where the command shows one thing)
 *   ndjson   one object per line
 *
 * Names in JSON are stable. JSON escapes control characters by itself; the two text forms do it here.
 */
import { Option } from 'commander'
import type { Command } from 'commander'
import { humanBytes, humanCount, humanDuration, isoTime } from './human.ts'
import { displayWidth, fit, printable, printableJson } from './terminal.ts'
import type { Style, Terminal } from './terminal.ts'

export const OUTPUT_FORMATS = ['table', 'plain', 'json', 'ndjson'] as const
export type OutputFormat = (typeof OUTPUT_FORMATS)[number]

export type Cell = string | number | boolean | null | readonly (string | number)[]

export interface Column<Row> {
  /** Name in JSON: stable, camel case, with its unit. */
  readonly name: string
  /** Title in a table. */
  readonly title: string
  readonly value: (row: Row) => Cell
  /** How a number reads to a person. Default: grouped digits. */
  readonly unit?: 'bytes' | 'ms' | 'time' | 'id'
  readonly style?: (row: Row) => Style | null
  /** Shown in tables only if asked for; always in the other forms. */
  readonly isDetail?: true
}

/** Adds `-o`, with the default that fits what stdout is. */
export function addOutputOption(command: Command): Command {
  return command.addOption(
    new Option('-o, --output <format>', 'table on a terminal, plain in a pipe, unless told').choices(
      OUTPUT_FORMATS,
    ),
  )
}

export function outputFormat(given: OutputFormat | undefined, out: Terminal): OutputFormat {
  return given ?? (out.isTty ? 'table' : 'plain')
}

/** Shows rows; `whenEmpty` tells a person why there is nothing to see. */
export async function printRows<Row>(
  out: Terminal,
  format: OutputFormat,
  columns: readonly Column<Row>[],
  rows: readonly Row[],
  whenEmpty?: string,
): Promise<void> {
  switch (format) {
    case 'json':
      await out.line(formatJson(rows.map((row) => toObject(columns, row))))
      return
    case 'ndjson':
      for (const row of rows) await out.line(jsonLine(toObject(columns, row)))
      return
    case 'plain':
      for (const row of rows) await out.line(columns.map((column) => plainCell(column.value(row))).join('\t'))
      return
    case 'table':
      if (rows.length === 0 && whenEmpty !== undefined) await out.line(out.style('dim', whenEmpty))
      for (const line of tableLines(out, columns, rows)) await out.line(line)
  }
}

/** Shows one thing as a list of names and values. */
export async function printFields<Row>(
  out: Terminal,
  format: OutputFormat,
  columns: readonly Column<Row>[],
  row: Row,
): Promise<void> {
  if (format === 'json') await out.line(formatJson(toObject(columns, row)))
  else if (format === 'ndjson') await out.line(jsonLine(toObject(columns, row)))
  else {
    const width = Math.max(...columns.map(({ title }) => displayWidth(title)))
    for (const column of columns) {
      const value = column.value(row)
      if (format === 'plain') await out.line(`${column.name}\t${plainCell(value)}`)
      else await out.line(`${out.style('dim', pad(column.title, width, false))}  ${tableCell(column, value)}`)
    }
  }
}

/** How things are shown that each have rows of their own. */
export interface Description<Thing, Row> {
  readonly toJson: (thing: Thing) => object
  readonly columns: readonly Column<Row>[]
  readonly rows: (thing: Thing) => readonly Row[]
  /** One of them, for a person. */
  readonly showTable: (thing: Thing) => Promise<void>
}

/** Shows things that each have rows of their own: for a pipe the rows alone, of all of them. */
export async function printDescriptions<Thing, Row>(
  out: Terminal,
  format: OutputFormat,
  things: readonly Thing[],
  { toJson, columns, rows, showTable }: Description<Thing, Row>,
): Promise<void> {
  switch (format) {
    case 'json':
      await out.line(formatJson(things.map(toJson)))
      return
    case 'ndjson':
      for (const thing of things) await out.line(jsonLine(toJson(thing)))
      return
    case 'plain':
      await printRows(out, format, columns, things.flatMap(rows))
      return
    case 'table':
      for (const [index, thing] of things.entries()) {
        if (index > 0) await out.line()
        await showTable(thing)
      }
  }
}

export function toObject<Row>(columns: readonly Column<Row>[], row: Row): Record<string, Cell> {
  return Object.fromEntries(columns.map((column) => [column.name, column.value(row)]))
}

/** A document of several lines. */
export function formatJson(value: unknown): string {
  return printableJson(JSON.stringify(value, null, 2))
}

/** One line. */
export function jsonLine(value: unknown): string {
  return printableJson(JSON.stringify(value))
}

/** Titles and rows of a table, the last column cut at the edge of the screen. */
export function tableLines<Row>(
  out: Terminal,
  columns: readonly Column<Row>[],
  rows: readonly Row[],
): readonly string[] {
  if (rows.length === 0) return []
  const shown = columns.filter(({ isDetail }) => isDetail !== true)
  const cells = rows.map((row) => shown.map((column) => tableCell(column, column.value(row))))
  const isRight = shown.map(({ value }) => rows.every((row) => isNumber(value(row))))
  const widths = shown.map(({ title }, index) =>
    Math.max(displayWidth(title), ...cells.map((row) => displayWidth(row[index]!))),
  )
  const before = widths.slice(0, -1).reduce((sum, width) => sum + width + GAP.length, 0)
  const lastWidth = Math.max(1, Math.min(widths.at(-1)!, out.width - before))
  const place = (text: string, index: number): string => {
    if (index < shown.length - 1) return pad(text, widths[index]!, isRight[index]!)
    const fitted = fit(text, lastWidth)
    return isRight[index]! ? pad(fitted, lastWidth, true) : fitted
  }
  const titles = shown.map(({ title }, index) => out.style('bold', place(title, index))).join(GAP)
  const lines = cells.map((row, at) =>
    row
      .map((text, index) => {
        const style = shown[index]!.style?.(rows[at]!) ?? null
        return style === null ? place(text, index) : out.style(style, place(text, index))
      })
      .join(GAP)
      .trimEnd(),
  )
  return [titles.trimEnd(), ...lines]
}

/** Blanks between two columns. */
const GAP = '  '

function isNumber(value: Cell): boolean {
  return typeof value === 'number' || value === null
}

function tableCell<Row>(column: Column<Row>, value: Cell): string {
  if (value === null) return '-'
  if (typeof value === 'boolean') return value ? 'yes' : 'no'
  if (typeof value === 'string') return printable(value)
  if (typeof value === 'object') return printable(value.join(', '))
  switch (column.unit) {
    case 'bytes':
      return humanBytes(value)
    case 'ms':
      return humanDuration(value)
    case 'time':
      return isoTime(value)
    case 'id':
      return String(value)
    default:
      return humanCount(value)
  }
}

/** Exact, on one line, and never with a tab of its own. */
function plainCell(value: Cell): string {
  if (value === null) return '-'
  if (typeof value === 'object') return printable(value.join(','))
  return printable(String(value))
}

function pad(text: string, width: number, isRight: boolean): string {
  const blanks = ' '.repeat(Math.max(0, width - displayWidth(text)))
  return isRight ? blanks + text : text + blanks
}
