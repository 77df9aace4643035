/** What people type becomes values, or a message that says what was wanted. */
import { InvalidArgumentError } from 'commander'
import { describe, expect, it } from 'vitest'
import {
  parseDuration,
  parseFrom,
  parseHeader,
  parseKeyValue,
  parsePartitions,
  parsePort,
  parseSeparator,
  parseSetting,
  parseSize,
  parseTime,
  parseWhole,
} from '../../cli/arguments.ts'

const NOW_MS = 1_800_000_000_000

describe('parseDuration()', () => {
  it.each([
    ['500ms', 500],
    ['15m', 900_000],
    ['15min', 900_000],
    ['1h30m', 5_400_000],
    ['7d', 604_800_000],
    ['1.5s', 1500],
    ['2w', 1_209_600_000],
  ])('reads %s as %d ms', (text, ms) => {
    expect(parseDuration(text)).toBe(ms)
  })

  it.each(['', '15', 'm', '-5m', '15 m', '15x', '1e3s', '99999999999999999999w'])('refuses "%s"', (text) => {
    expect(() => parseDuration(text)).toThrow(InvalidArgumentError)
  })
})

describe('parseSize()', () => {
  it.each([
    ['512', 512],
    ['64k', 65_536],
    ['64KiB', 65_536],
    ['10MiB', 10_485_760],
    ['10MB', 10_000_000],
    ['1.5g', 1_610_612_736],
  ])('reads %s as %d bytes', (text, bytes) => {
    expect(parseSize(text)).toBe(bytes)
  })

  it.each(['', 'k', '-1', '10XB', '1 2'])('refuses "%s"', (text) => {
    expect(() => parseSize(text)).toThrow(InvalidArgumentError)
  })
})

describe('parseTime()', () => {
  it('reads a duration as that long ago', () => {
    expect(parseTime('15m', NOW_MS)).toBe(NOW_MS - 900_000)
  })

  it('reads ms since 1970 only with all their digits, so that a year is never a time', () => {
    expect(parseTime('1795235506876', NOW_MS)).toBe(1_795_235_506_876)
    expect(() => parseTime('2026', NOW_MS)).toThrow(InvalidArgumentError)
  })

  it('reads ISO 8601 with a zone exactly', () => {
    expect(parseTime('2026-01-31T12:00Z', NOW_MS)).toBe(Date.UTC(2026, 0, 31, 12))
    expect(parseTime('2026-01-31T12:00:00.250+02:00', NOW_MS)).toBe(Date.UTC(2026, 0, 31, 10, 0, 0, 250))
  })

  it('reads a date alone and a time without zone both as local time', () => {
    expect(parseTime('2026-01-31', NOW_MS)).toBe(new Date(2026, 0, 31).getTime())
    expect(parseTime('2026-01-31 12:00', NOW_MS)).toBe(new Date(2026, 0, 31, 12).getTime())
  })

  it.each(['', 'yesterday', '2026-13-01', '31.01.2026', '1969-01-01T00:00Z'])('refuses "%s"', (text) => {
    expect(() => parseTime(text, NOW_MS)).toThrow(InvalidArgumentError)
  })
})

describe('parseFrom()', () => {
  it('tells ends, offsets and times apart', () => {
    expect(parseFrom('beginning', NOW_MS)).toEqual({ kind: 'beginning' })
    expect(parseFrom('end', NOW_MS)).toEqual({ kind: 'end' })
    expect(parseFrom('42', NOW_MS)).toEqual({ kind: 'offset', offset: 42 })
    expect(parseFrom('@1h', NOW_MS)).toEqual({ kind: 'time', timestampMs: NOW_MS - 3_600_000 })
  })

  it.each(['', '-1', 'start', '@', '99999999999999999'])('refuses "%s"', (text) => {
    expect(() => parseFrom(text, NOW_MS)).toThrow(InvalidArgumentError)
  })
})

describe('numbers', () => {
  it('are whole, within bounds, and may be grouped by underscores', () => {
    expect(parseWhole('1_000', 0, 2000)).toBe(1000)
    expect(parsePort('0')).toBe(0)
    expect(() => parsePort('65536')).toThrow('Wanted a whole number from 0 to 65535.')
    expect(() => parseWhole('1.5', 0, 10)).toThrow(InvalidArgumentError)
    expect(() => parseWhole('', 0, 10)).toThrow(InvalidArgumentError)
  })
})

describe('parsePartitions()', () => {
  it('merges numbers and ranges, sorted, over several options', () => {
    expect(parsePartitions('3,0-2', parsePartitions('7,1'))).toEqual([0, 1, 2, 3, 7])
  })

  it.each(['', 'a', '3-1', '0-', '0-99999999'])('refuses "%s"', (text) => {
    expect(() => parsePartitions(text)).toThrow(InvalidArgumentError)
  })
})

describe('key=value', () => {
  it('keeps "=" and nothing in values, and __proto__ as a key like any other', () => {
    const found = parseKeyValue('__proto__=x', parseKeyValue('b=', parseKeyValue('a=1=2')))
    expect([...found]).toEqual([
      ['a', '1=2'],
      ['b', ''],
      ['__proto__', 'x'],
    ])
  })

  it('understands units in settings whose keys have one, and leaves the rest to the broker', () => {
    expect(parseSetting('retention.ms=7d').get('retention.ms')).toBe('604800000')
    expect(parseSetting('segment.bytes=64MiB').get('segment.bytes')).toBe('67108864')
    expect(parseSetting('retention.ms=-1').get('retention.ms')).toBe('-1')
    expect(parseSetting('cleanup.policy=7d').get('cleanup.policy')).toBe('7d')
  })

  it('keeps several headers of one key, in order', () => {
    expect(parseHeader('a=2', parseHeader('a=1'))).toEqual([
      ['a', '1'],
      ['a', '2'],
    ])
  })

  it.each(['', 'a', '=v'])('refuses "%s"', (text) => {
    expect(() => parseKeyValue(text)).toThrow('Wanted key=value.')
    expect(() => parseHeader(text)).toThrow('Wanted key=value.')
  })
})

describe('parseSeparator()', () => {
  it('reads escapes, and refuses what could not separate within a line', () => {
    expect(parseSeparator('\\t')).toBe('\t')
    expect(parseSeparator('::')).toBe('::')
    expect(() => parseSeparator('')).toThrow(InvalidArgumentError)
    expect(() => parseSeparator('\\n')).toThrow(InvalidArgumentError)
  })
})
