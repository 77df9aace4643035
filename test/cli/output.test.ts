/** The same rows as a table, as plain lines and as JSON; numbers for people and for machines. */
import { Writable } from 'node:stream'
import { describe, expect, it } from 'vitest'
import { counted, humanBytes, humanCount, humanDuration, isoTime } from '../../cli/human.ts'
import { printFields, printRows } from '../../cli/output.ts'
import type { Column, OutputFormat } from '../../cli/output.ts'
import { Terminal } from '../../cli/terminal.ts'

interface Row {
  readonly name: string
  readonly size: number | null
  readonly replicas: readonly number[]
}

const COLUMNS: readonly Column<Row>[] = [
  { name: 'name', title: 'NAME', value: ({ name }) => name },
  { name: 'sizeBytes', title: 'SIZE', value: ({ size }) => size, unit: 'bytes' },
  { name: 'replicas', title: 'REPLICAS', value: ({ replicas }) => replicas },
  { name: 'secret', title: 'SECRET', value: () => 'detail', isDetail: true },
]

const ROWS: readonly Row[] = [
  { name: 'a', size: 1_234_567, replicas: [1, 2] },
  { name: 'evil\u001b[2J\tname', size: null, replicas: [] },
]

async function printed(format: OutputFormat, columns = 80, rows = ROWS): Promise<string> {
  const chunks: string[] = []
  const stream = new Writable({
    write(chunk: Buffer, _encoding, done) {
      chunks.push(chunk.toString())
      done()
    },
  })
  const terminal = new Terminal(Object.assign(stream, { isTTY: true, columns }), { NO_COLOR: '1' })
  await printRows(terminal, format, COLUMNS, rows, 'Nothing here')
  return chunks.join('')
}

describe('printRows()', () => {
  it('aligns a table, numbers to the right, and escapes what others wrote', async () => {
    expect(await printed('table')).toBe(
      [
        'NAME                    SIZE  REPLICAS',
        'a                    1.2 MiB  1, 2',
        'evil\\u001b[2J\\tname        -',
        '',
      ].join('\n'),
    )
  })

  it('cuts the last column of a table at the edge of the screen', async () => {
    const rows = [{ name: 'a', size: 1, replicas: [1, 2, 3, 4, 5, 6, 7, 8] }]
    expect(await printed('table', 22, rows)).toBe('NAME  SIZE  REPLICAS\na      1 B  1, 2, 3, …\n')
  })

  it('says why a table is empty, and prints nothing to a pipe', async () => {
    expect(await printed('table', 80, [])).toBe('Nothing here\n')
    expect(await printed('plain', 80, [])).toBe('')
    expect(await printed('json', 80, [])).toBe('[]\n')
  })

  it('gives pipes exact numbers between tabs, details included', async () => {
    expect(await printed('plain')).toBe('a\t1234567\t1,2\tdetail\nevil\\u001b[2J\\tname\t-\t\tdetail\n')
  })

  it('gives programs the same names and values in both forms of JSON', async () => {
    const json = JSON.parse(await printed('json')) as unknown[]
    const lines = (await printed('ndjson')).trim().split('\n')
    expect(lines.map((line) => JSON.parse(line) as unknown)).toEqual(json)
    expect(json[0]).toEqual({ name: 'a', sizeBytes: 1_234_567, replicas: [1, 2], secret: 'detail' })
    expect(json[1]).toMatchObject({ name: 'evil\u001b[2J\tname', sizeBytes: null })
  })
})

describe('printFields()', () => {
  it('shows one thing as names and values', async () => {
    const chunks: string[] = []
    const stream = new Writable({
      write(chunk: Buffer, _encoding, done) {
        chunks.push(chunk.toString())
        done()
      },
    })
    await printFields(new Terminal(stream, {}), 'plain', COLUMNS, ROWS[0]!)
    expect(chunks.join('')).toBe('name\ta\nsizeBytes\t1234567\nreplicas\t1,2\nsecret\tdetail\n')
  })
})

describe('numbers for people', () => {
  it('are grouped, counted, and in the largest unit that fits', () => {
    expect(humanCount(1_234_567)).toBe('1,234,567')
    expect(humanCount(-1234)).toBe('-1,234')
    expect(counted(1, 'record')).toBe('1 record')
    expect(counted(2000, 'record')).toBe('2,000 records')
    expect([0, 1023, 1024, 1536, 123_456, 1_048_575, 1_048_576, 5e15].map(humanBytes)).toEqual([
      ...['0 B', '1023 B', '1 KiB', '1.5 KiB', '120.6 KiB', '1 MiB', '1 MiB', '4.4 PiB'],
    ])
    expect([0, 12, 840, 1500, 12_000, 200_000, 7_500_000, 604_800_000].map(humanDuration)).toEqual([
      ...['0 s', '0.01 s', '0.84 s', '1.5 s', '12 s', '3 min 20 s', '2 h 5 min', '7 d'],
    ])
  })

  it('never fail on a time that no calendar has', () => {
    expect(isoTime(0)).toBe('1970-01-01T00:00:00.000Z')
    expect(isoTime(-1)).toBe('-')
    expect(isoTime(Number.MAX_SAFE_INTEGER)).toBe('9007199254740991')
  })
})
