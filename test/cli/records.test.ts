/** How records are written: byte for byte into pipes, harmless on terminals, lossless in JSON, in order. */
import { InvalidArgumentError } from 'commander'
import { describe, expect, it } from 'vitest'
import { Backlog, mergeByTime } from '../../cli/backlog.ts'
import { compileFormat, payloadText, toRecordObject } from '../../cli/record-format.ts'
import type { ShownRecord } from '../../cli/record-format.ts'

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text)

function record(overrides: Partial<ShownRecord> = {}): ShownRecord {
  return {
    topic: 'events',
    partition: 1,
    offset: 42,
    timestamp: 0,
    key: utf8('k'),
    value: utf8('v'),
    headers: [{ key: 'h', value: utf8('x') }],
    ...overrides,
  }
}

function written(format: string, shown: ShownRecord, isForTerminal = false): string {
  return Buffer.from(compileFormat(format, isForTerminal)(shown)).toString('latin1')
}

describe('compileFormat()', () => {
  it('fills in every placeholder and ends the line', () => {
    expect(written('%t %p %o %T %k=%v %h %%', record())).toBe(
      'events 1 42 1970-01-01T00:00:00.000Z k=v h=x %\n',
    )
  })

  it('reads escapes, and adds no second line end', () => {
    expect(written('%k\\t%v\\n', record())).toBe('k\tv\n')
    expect(written('%v\\0', record())).toBe('v\0')
    expect(written('key-value', record())).toBe('k\tv\n')
  })

  it('does not read escapes or placeholders in what the record holds', () => {
    expect(written('%v', record({ value: utf8('%k\\n') }))).toBe('%k\\n\n')
  })

  it('writes bytes into a pipe as they are, and nothing for null', () => {
    expect(written('value', record({ value: Uint8Array.from([0, 255, 27]) }))).toBe('\0\xff\x1b\n')
    expect(written('%k:%v', record({ key: null, value: null }))).toBe(':\n')
  })

  it('escapes on a terminal', () => {
    expect(written('%v', record({ value: utf8('\u001b[2J') }), true)).toBe('\\u001b[2J\n')
    expect(written('%v', record({ value: Uint8Array.from([255, 65]) }), true)).toBe('\\xffA\n')
    expect(written('%h', record({ headers: [{ key: 'a\u001b', value: null }] }), false)).toBe(
      'a\\u001b=null\n',
    )
  })

  it.each(['%x', '%', 'a %'])('refuses %s and names what there is', (format) => {
    expect(() => compileFormat(format, false)).toThrow(InvalidArgumentError)
  })
})

describe('toRecordObject()', () => {
  it('gives text when the bytes are UTF-8, else base64, and says which', () => {
    const shown = toRecordObject(record({ key: null, value: Uint8Array.from([0xff, 0x00]) }))
    expect(shown).toEqual({
      offset: 42,
      timestampMs: 0,
      key: null,
      keyEncoding: null,
      value: '/wA=',
      valueEncoding: 'base64',
      headers: [{ key: 'h', value: 'x', valueEncoding: 'utf8' }],
    })
  })

  it('keeps a byte order mark, which belongs to the value', () => {
    expect(toRecordObject(record({ value: utf8('\ufeffx') })).value).toBe('\ufeffx')
  })
})

describe('payloadText()', () => {
  it('tells null, empty, text and bytes apart', () => {
    expect([null, utf8(''), utf8('ä'), Uint8Array.from([0xc3])].map(payloadText)).toEqual([
      ...['null', '', 'ä', '\\xc3'],
    ])
  })
})

describe('Backlog', () => {
  const at = (partition: number, offset: number, timestamp: number): ShownRecord =>
    record({ partition, offset, timestamp })
  const places = (records: readonly ShownRecord[]): string[] =>
    records.map(({ partition, offset }) => `${partition}@${offset}`)

  it('merges partitions by time and keeps each in order of its offsets', () => {
    const records = [at(0, 5, 10), at(0, 6, 5), at(0, 7, 30), at(1, 1, 7), at(1, 2, 20)]
    expect(places(mergeByTime(records))).toEqual(['1@1', '0@5', '0@6', '1@2', '0@7'])
  })

  it('keeps the newest over all partitions, however they arrive', () => {
    const backlog = new Backlog(3)
    for (let offset = 0; offset < 10; offset++) backlog.add(at(0, offset, offset))
    for (let offset = 0; offset < 10; offset++) backlog.add(at(1, offset, offset + 1))
    expect(places(backlog.take())).toEqual(['0@9', '1@8', '1@9'])
  })
})
