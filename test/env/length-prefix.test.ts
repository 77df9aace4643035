import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { lengthPrefix, LengthPrefixDecoder } from '../../src/env/length-prefix.ts'

const SEED = Number(process.env['SEED'] ?? 20_260_101)

function framed(messages: readonly Uint8Array[]): Uint8Array {
  return Buffer.concat(messages.flatMap((message) => [lengthPrefix(message.length), message]))
}

describe('LengthPrefixDecoder', () => {
  test('NW-4: gives the same messages however the stream is cut', () => {
    const message = fc.uint8Array({ minLength: 1, maxLength: 300 })
    fc.assert(
      fc.property(
        fc.array(message, { maxLength: 20 }),
        fc.array(fc.integer({ min: 1, max: 200 })),
        (messages, cuts) => {
          const received: Uint8Array[] = []
          const decoder = new LengthPrefixDecoder(300, (bytes) => received.push(bytes))
          const stream = framed(messages)
          let position = 0
          for (let index = 0; position < stream.length; index++) {
            const size = cuts[index % Math.max(1, cuts.length)] ?? stream.length
            expect(decoder.push(stream.slice(position, position + size))).toBe(null)
            position += size
          }
          expect(received.map((bytes) => [...bytes])).toEqual(messages.map((bytes) => [...bytes]))
          expect(decoder.isMidMessage).toBe(false)
        },
      ),
      { seed: SEED },
    )
  })

  test('X1: any bytes either are framed or end the stream; memory stays within four times what came', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ minLength: 1, maxLength: 50 })), (chunks) => {
        const decoder = new LengthPrefixDecoder(2 ** 30 - 1, () => undefined)
        let receivedBytes = 0
        for (const chunk of chunks) {
          receivedBytes += chunk.length
          if (decoder.push(chunk) !== null) break
          expect(decoder.bufferedBytes).toBeLessThanOrEqual(Math.max(4096, 4 * receivedBytes))
        }
      }),
      { seed: SEED },
    )
  })

  test('X1: an announced GiB costs nothing until its bytes come', () => {
    const decoder = new LengthPrefixDecoder(2 ** 30 - 1, () => undefined)
    expect(decoder.push(lengthPrefix(2 ** 30 - 1))).toBe(null)
    expect(decoder.bufferedBytes).toBe(0)
    expect(decoder.push(new Uint8Array(1))).toBe(null)
    expect(decoder.bufferedBytes).toBeLessThanOrEqual(4096)
  })

  test('X1: lengths out of bounds are refused at their fourth byte', () => {
    for (const bytes of [
      [0, 0, 0, 0],
      [0xff, 0xff, 0xff, 0xff],
      [0x80, 0, 0, 0],
      [0x7f, 0xff, 0xff, 0xff],
      [0, 0, 3, 233],
    ]) {
      const decoder = new LengthPrefixDecoder(1000, () => expect.unreachable())
      expect(decoder.push(new Uint8Array(bytes.slice(0, 3)))).toBe(null)
      expect(decoder.push(new Uint8Array(bytes.slice(3)))).toMatch(/^announced a message of -?\d+ bytes/)
    }
  })

  test('a message within one chunk is a view of it; stop() ends delivery within a chunk', () => {
    const stream = framed([new Uint8Array([1, 2]), new Uint8Array([3])])
    const received: Uint8Array[] = []
    const decoder = new LengthPrefixDecoder(10, (bytes) => {
      received.push(bytes)
      decoder.stop()
    })
    decoder.push(stream)
    expect(received).toHaveLength(1)
    expect(received[0]!.buffer).toBe(stream.buffer)
  })
})
