/** `millrace dump`: the batches of a segment file, or of all segments in a directory, and their records if asked for. */
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { Command } from 'commander'
import type { DumpedBatch } from '../src/index.ts'
import type { Context } from './context.ts'
import { CommandError } from './errors.ts'
import { EXIT } from './exit-codes.ts'
import { isoTime } from './human.ts'
import { addOutputOption, jsonLine, outputFormat, tableLines, toObject } from './output.ts'
import type { Column, OutputFormat } from './output.ts'
import { payloadText, toRecordObject } from './record-format.ts'
import type { ShownRecord } from './record-format.ts'

/** Batches per table: columns are aligned within, and a long file is never held in memory. */
const TABLE_ROWS = 100

/** A file does not say which topic it is of; its directory's name does, for people. */
type RecordOfBatch = Omit<ShownRecord, 'topic' | 'partition'>

interface DumpOptions {
  readonly records?: boolean
  readonly output?: OutputFormat
}

interface BatchRow {
  readonly file: string
  readonly position: number
  readonly baseOffset: number
  readonly lastOffset: number
  readonly leaderEpoch: number
  readonly recordCount: number
  readonly sizeBytes: number
  readonly codec: string
  readonly kind: string
  /** From when on compaction forgets the batch's tombstones; -1: it has kept none. */
  readonly deleteHorizonMs: number
  readonly maxTimestampMs: number
  readonly producerId: number
  readonly producerEpoch: number
  readonly baseSequence: number
  /** CRC-32C as eight hex digits; every batch that is shown has the right one. */
  readonly crc: string
}

const COLUMNS: readonly Column<BatchRow>[] = [
  { name: 'file', title: 'FILE', value: ({ file }) => file, isDetail: true },
  { name: 'position', title: 'POSITION', value: ({ position }) => position, unit: 'id' },
  { name: 'baseOffset', title: 'FIRST', value: ({ baseOffset }) => baseOffset, unit: 'id' },
  { name: 'lastOffset', title: 'LAST', value: ({ lastOffset }) => lastOffset, unit: 'id' },
  { name: 'leaderEpoch', title: 'EPOCH', value: ({ leaderEpoch }) => leaderEpoch, unit: 'id' },
  { name: 'recordCount', title: 'RECORDS', value: ({ recordCount }) => recordCount },
  { name: 'sizeBytes', title: 'SIZE', value: ({ sizeBytes }) => sizeBytes, unit: 'bytes' },
  { name: 'codec', title: 'CODEC', value: ({ codec }) => codec },
  { name: 'kind', title: 'KIND', value: ({ kind }) => kind },
  { name: 'crc', title: 'CRC', value: ({ crc }) => crc },
  { name: 'producerId', title: 'PRODUCER', value: ({ producerId }) => producerId, isDetail: true },
  { name: 'producerEpoch', title: 'P.EPOCH', value: ({ producerEpoch }) => producerEpoch, isDetail: true },
  { name: 'baseSequence', title: 'SEQUENCE', value: ({ baseSequence }) => baseSequence, isDetail: true },
  {
    name: 'deleteHorizonMs',
    title: 'FORGETS DELETIONS',
    value: ({ deleteHorizonMs }) => deleteHorizonMs,
    unit: 'time',
    isDetail: true,
  },
  {
    name: 'maxTimestampMs',
    title: 'NEWEST RECORD',
    value: ({ maxTimestampMs }) => maxTimestampMs,
    unit: 'time',
  },
]

export function dumpCommand(context: Context): Command {
  const command = new Command('dump')
    .description(
      'Print the batches of a segment file (.log), or of every segment in a directory, with their checksums verified. ' +
        'Needs no broker and may run beside one. Fails when a file is not sound to its end.',
    )
    .argument('<path>', 'a .log file, or the directory of a partition')
    .option('-r, --records', 'the records of each batch, too')
  return addOutputOption(command).action((path: string, options: DumpOptions) =>
    new Dump(context, options).run(path),
  )
}

class Dump {
  readonly #context: Context
  readonly #format: OutputFormat
  readonly #showsRecords: boolean
  #rows: BatchRow[] = []
  #jsonCount = 0

  constructor(context: Context, options: DumpOptions) {
    this.#context = context
    this.#format = outputFormat(options.output, context.out)
    this.#showsRecords = options.records ?? false
  }

  async run(path: string): Promise<void> {
    const { out, err } = this.#context
    const { dumpSegmentFile } = await import('../src/index.ts')
    const files = await findSegments(path)
    const faults: { file: string; position: number; fault: string }[] = []
    for (const file of files) {
      if (files.length > 1 && this.#format === 'table') await out.line(out.style('bold', file))
      for await (const item of dumpSegmentFile(file)) {
        if (item.kind === 'fault') faults.push({ file, position: item.position, fault: item.fault })
        else await this.#show(file, item)
      }
      await this.#flush()
    }
    if (this.#format === 'json') await out.write(this.#jsonCount === 0 ? '[]\n' : '\n]\n')
    for (const { file, position, fault } of faults) {
      await err.line(`${err.style('red', 'damaged:')} ${file}:${position} ${fault}`)
      this.#context.exitCode = EXIT.failed
    }
  }

  async #show(
    file: string,
    { position, header, bytes }: Extract<DumpedBatch, { kind: 'batch' }>,
  ): Promise<void> {
    const { describeAttributes, readBatchRecords } = await import('../src/index.ts')
    const { codec, isControl, isTransactional, hasDeleteHorizon } = describeAttributes(header.attributes)
    const row: BatchRow = {
      file,
      position,
      baseOffset: header.baseOffset,
      lastOffset: header.baseOffset + header.lastOffsetDelta,
      leaderEpoch: header.leaderEpoch,
      recordCount: header.recordCount,
      sizeBytes: header.batchSize,
      codec,
      kind: isControl
        ? 'control'
        : header.recordCount === 0
          ? 'empty'
          : isTransactional
            ? 'transactional'
            : 'data',
      deleteHorizonMs: hasDeleteHorizon ? header.baseTimestamp : -1,
      maxTimestampMs: header.maxTimestamp,
      producerId: header.producerId,
      producerEpoch: header.producerEpoch,
      baseSequence: header.baseSequence,
      crc: header.crc.toString(16).padStart(8, '0'),
    }
    const records = this.#showsRecords ? [...(await readBatchRecords(bytes))] : null
    if (this.#format === 'json' || this.#format === 'ndjson') await this.#showJson(row, records)
    else {
      this.#rows.push(row)
      if (this.#rows.length >= TABLE_ROWS || records !== null) await this.#flush()
      if (records !== null) await this.#showRecords(records)
    }
  }

  async #showJson(row: BatchRow, records: readonly RecordOfBatch[] | null): Promise<void> {
    const object = toObject(COLUMNS, row)
    const text = jsonLine(records === null ? object : { ...object, records: records.map(toRecordObject) })
    const isFirst = this.#jsonCount++ === 0
    if (this.#format === 'ndjson') await this.#context.out.line(text)
    else await this.#context.out.write(`${isFirst ? '[\n' : ',\n'}${text}`)
  }

  async #flush(): Promise<void> {
    const { out } = this.#context
    if (this.#rows.length === 0) return
    if (this.#format === 'table')
      for (const line of tableLines(out, COLUMNS, this.#rows)) await out.line(line)
    else for (const row of this.#rows) await out.line(Object.values(toObject(COLUMNS, row)).join('\t'))
    this.#rows = []
  }

  async #showRecords(records: readonly RecordOfBatch[]): Promise<void> {
    const { out } = this.#context
    const lines = records.map(({ offset, timestamp, key, value, headers }) => {
      const shown = headers.map(
        (header) => `${payloadText(Buffer.from(header.key))}=${payloadText(header.value)}`,
      )
      const cells = [String(offset), isoTime(timestamp), payloadText(key), payloadText(value), ...shown]
      return this.#format === 'table' ? `  ${cells.join('  ')}` : `\t${cells.join('\t')}`
    })
    await out.write(lines.map((line) => `${line}\n`).join(''))
  }
}

async function findSegments(path: string): Promise<readonly string[]> {
  const found = await stat(path).catch((error: unknown) => {
    throw new CommandError(EXIT.notFound, `Cannot read ${path}: there is no such file or directory`, null, {
      cause: error,
    })
  })
  if (!found.isDirectory()) return [path]
  const names = (await readdir(path)).filter((name) => name.endsWith('.log')).sort()
  if (names.length > 0) return names.map((name) => join(path, name))
  throw new CommandError(
    EXIT.notFound,
    `Cannot find a segment in ${path}: it holds no .log files`,
    'Name the directory of a partition, such as millrace-data/events-0',
  )
}
