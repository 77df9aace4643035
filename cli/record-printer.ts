/**
 * Writes records to stdout as they come, in the form that was asked for: a format of placeholders, JSON as one array that
 * grows, or a JSON object a line. One write per batch; the next batch waits while the reader is slow.
 */
import type { Context } from './context.ts'
import { isoTime } from './human.ts'
import { jsonLine } from './output.ts'
import { compileFormat, payloadText, toRecordObject } from './record-format.ts'
import type { RecordWriter, ShownRecord } from './record-format.ts'
import type { Terminal } from './terminal.ts'

export interface RecordPrinter {
  print(records: readonly ShownRecord[]): Promise<void>
  /** Writes what closes the output. */
  end(): Promise<void>
}

export interface PrinterOptions {
  readonly format?: string | undefined
  readonly output?: 'json' | 'ndjson' | undefined
}

/** @throws {InvalidArgumentError} For a format with an unknown placeholder. */
export function recordPrinter({ out }: Context, { format, output }: PrinterOptions): RecordPrinter {
  if (output === 'json') return arrayPrinter(out)
  const write =
    output === 'ndjson'
      ? (record: ShownRecord) => `${jsonLine(toPlacedObject(record))}\n`
      : format === undefined && out.isTty
        ? (record: ShownRecord) => colouredLine(out, record)
        : compileFormat(format ?? 'value', out.isTty)
  return {
    print: (records) => out.write(join(records, write)),
    end: () => Promise.resolve(),
  }
}

/** One document, also when it is cut short by Ctrl-C. */
function arrayPrinter(out: Terminal): RecordPrinter {
  let count = 0
  return {
    print: (records) =>
      out.write(
        records
          .map((record) => `${count++ === 0 ? '[\n' : ',\n'}${jsonLine(toPlacedObject(record))}`)
          .join(''),
      ),
    end: () => out.write(count === 0 ? '[]\n' : '\n]\n'),
  }
}

function toPlacedObject(record: ShownRecord): object {
  return { topic: record.topic, partition: record.partition, ...toRecordObject(record) }
}

function join(records: readonly ShownRecord[], write: RecordWriter): Uint8Array {
  return Buffer.concat(
    records.map((record) => {
      const written = write(record)
      return typeof written === 'string' ? Buffer.from(written) : written
    }),
  )
}

/** What a person sees: the record itself stands out from where it is. */
function colouredLine(
  out: Terminal,
  { timestamp, partition, offset, key, value, headers }: ShownRecord,
): string {
  const nothing = out.style('dim', '-')
  const parts = [
    out.style('dim', isoTime(timestamp)),
    out.style('cyan', `${partition}@${offset}`),
    key === null ? nothing : key.length === 0 ? out.style('dim', '""') : out.style('bold', payloadText(key)),
    value === null || value.length === 0
      ? out.style('dim', value === null ? 'null' : '""')
      : payloadText(value),
  ]
  for (const header of headers) {
    parts.push(out.style('dim', `${payloadText(Buffer.from(header.key))}=${payloadText(header.value)}`))
  }
  return `${parts.join('  ')}\n`
}
