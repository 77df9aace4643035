/** Declarations that contradict themselves do not load. */
import { describe, expect, test } from 'vitest'
import { array, int32, message, records, string, struct } from '../../../src/protocol/schema/fields.ts'
import type { Shape } from '../../../src/protocol/schema/fields.ts'
import { hasVersion, isWithin, parseVersions } from '../../../src/protocol/schema/versions.ts'
import type { Versions } from '../../../src/protocol/schema/versions.ts'

const declare = (shape: Shape, versions: Versions = '0-3', flexible: Versions = '2+'): (() => unknown) => {
  return () => message('Checked', { versions, flexible }, shape)
}

describe('a declaration is refused when', () => {
  test.each<[string, () => unknown, RegExp]>([
    ['its versions are open', declare({}, '0+'), /closed range/],
    ['its versions are none', declare({}, 'none'), /closed range/],
    ['it is flexible outside its versions', declare({}, '2-3', '1+'), /flexible outside/],
    ['it stops being flexible', declare({}, '0-3', '1-2'), /stops being flexible/],
    ['a name is no identifier', declare({ 'a-b': int32() }), /identifier/],
    ['a name could end a statement', declare({ 'a;b': int32() }), /identifier/],
    ['a name is one of every object', declare({ constructor: int32() }), /identifier/],
    ['a name is numeric, and so would change its place', declare({ 1: int32() }), /identifier/],
    ['a field is in no version', declare({ a: int32({ versions: '4+' }) }), /in no version/],
    [
      'a field ends behind its message',
      declare({ a: int32({ versions: '0-9' }) }),
      /its parent does not have/,
    ],
    ['a field is nullable too late', declare({ a: string({ nullable: '4+' }) }), /nullable in versions/],
    ['a tag is in a version that is not flexible', declare({ a: int32({ tag: 0 }) }), /not flexible/],
    ['tags have a gap', declare({ a: int32({ versions: '2+', tag: 1 }) }), /contiguous/],
    ['tags of our own have a gap', declare({ a: int32({ versions: '2+', tag: 31 }) }), /contiguous/],
    [
      'a tag is used twice',
      declare({ a: int32({ versions: '2+', tag: 0 }), b: int32({ versions: '2+', tag: 0 }) }),
      /contiguous/,
    ],
    ['a fallback is null where null is not allowed', declare({ a: string({ fallback: null }) }), /null/],
    ['a fallback is of another type', declare({ a: int32({ fallback: 'x' as never }) }), /does not fit/],
    ['an array is in an array', declare({ a: array(array(int32())) }), /array of arrays/],
    ['items have options', declare({ a: array(int32({ fallback: 1 })) }), /items have options/],
    ['items take no bytes', declare({ a: array(struct({})) }), /no bytes in version 0/],
    [
      'records are in a tagged field',
      declare({ a: array(struct({ b: records() }), { versions: '2+', tag: 0 }) }),
      /records are in a tagged field/,
    ],
    ['a fault is nested', declare({ a: array(struct({ b: struct({ 'c d': int32() }) })) }), /a\.b\.c d/],
  ])('%s', (_, load, reason) => {
    expect(load).toThrow(SyntaxError)
    expect(load).toThrow(reason)
  })

  test('its name is no identifier', () => {
    expect(() => message('No Name', { versions: '0', flexible: 'none' }, {})).toThrow(SyntaxError)
  })
})

test('a record of an internal topic is declared without an API number, flexible or not', () => {
  expect(message('Plain', { versions: '0-1', flexible: 'none' }, { a: int32() }).flexible).toEqual({
    first: 0,
    last: -1,
  })
  expect(message('Flexible', { versions: '0-1', flexible: '0+' }, { a: int32() }).flexible).toEqual({
    first: 0,
    last: 1,
  })
})

describe('ranges of versions', () => {
  test.each<[Versions, number, number]>([
    ['3+', 3, Infinity],
    ['2-5', 2, 5],
    ['0', 0, 0],
    ['none', 0, -1],
  ])('%s is from %d to %d', (text, first, last) => {
    expect(parseVersions(text)).toEqual({ first, last })
  })

  test.each(['', '+', '-1', '1-', '5-2', '1.5', 'x', '1+2'])('%j is refused', (text) => {
    expect(() => parseVersions(text as Versions)).toThrow(SyntaxError)
  })

  test('both ends belong to a range, and none has no versions', () => {
    expect([1, 2, 5, 6].map((version) => hasVersion(parseVersions('2-5'), version))).toEqual([
      false,
      true,
      true,
      false,
    ])
    expect(hasVersion(parseVersions('none'), 0)).toBe(false)
    expect(isWithin(parseVersions('none'), parseVersions('3+'))).toBe(true)
    expect(isWithin(parseVersions('2+'), parseVersions('3+'))).toBe(false)
  })
})
