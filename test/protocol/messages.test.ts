/**
 * Every message in every version: there and back in all styles of values, both forms of the engine alike, and the bytes
 * written down in test/golden/protocol. A golden file that changes is a change of the protocol; UPDATE_GOLDEN=1 writes
 * those that are missing and never touches one that is there.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join as joinPath } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { compileCodec } from '../../src/protocol/schema/compile.ts'
import { interpretCodec } from '../../src/protocol/schema/interpreter.ts'
import { messages, messageVersions, readWhole, write } from '../support/protocol-messages.ts'
import { arbitraryValue, fixedValue, STYLES, withoutFallbacks } from '../support/protocol-values.ts'
import { seedFromEnv } from '../support/seed.ts'

const seed = seedFromEnv('messages')
const GOLDEN = joinPath(import.meta.dirname, '../golden/protocol')

describe.each(messageVersions)('$title', ({ message, version }) => {
  const compiled = compileCodec(message, version)
  const interpreted = interpretCodec(message, version)

  test.each(STYLES)('comes back as it was sent: %s', (style) => {
    const value: unknown = fixedValue(message, version, style)
    const bytes = write(compiled, value)
    expectSame(readWhole(compiled, bytes), value)
    expectSame(write(interpreted, value), bytes)
    expectSame(readWhole(interpreted, bytes), value)
  })

  test('comes back as it was sent, written and read by either form alike: random values', () => {
    fc.assert(
      fc.property(arbitraryValue(message, version), (value) => {
        const bytes = write(compiled, value)
        if (Buffer.compare(write(interpreted, value), bytes) !== 0)
          expect.fail('The forms write different bytes')
        expect(readWhole(compiled, bytes)).toEqual(value)
        expect(readWhole(interpreted, bytes)).toEqual(value)
      }),
      { seed, numRuns: 10 },
    )
  })

  test('is the same on the wire when the sender omits what is at its fallback', () => {
    for (const style of STYLES) {
      const value: unknown = fixedValue(message, version, style)
      const omitting: unknown = withoutFallbacks(message.shape, value)
      expectSame(write(compiled, omitting), write(compiled, value))
      expectSame(write(interpreted, omitting), write(compiled, value))
    }
  })
})

describe('golden bytes', () => {
  test.each(messages)('of $name are those of the file, in every version', (message) => {
    const path = joinPath(GOLDEN, `${message.name}.json`)
    const actual: Record<string, Record<string, string>> = {}
    for (let version = message.versions.first; version <= message.versions.last; version++) {
      const codec = compileCodec(message, version)
      const hex = (style: 'sample' | 'nulls'): string =>
        Buffer.from(write(codec, fixedValue(message, version, style))).toString('hex')
      actual[`v${version}`] = { sample: hex('sample'), nulls: hex('nulls') }
    }
    if (!existsSync(path) && process.env['UPDATE_GOLDEN'] === '1') {
      mkdirSync(GOLDEN, { recursive: true })
      writeFileSync(path, `${JSON.stringify(actual, null, 1)}\n`)
    }
    expect(actual).toEqual(JSON.parse(readFileSync(path, 'utf8')))
  })
})

/** Compares large byte strings natively; `toEqual` goes through them byte by byte and is only asked for its message. */
function expectSame(actual: unknown, expected: unknown): void {
  if (!isDeepStrictEqual(actual, expected)) expect(actual).toStrictEqual(expected)
}
