/** Lines are bytes: whatever the chunks, what was between line feeds comes out. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { findBytes, LINE_BYTES_MAX, LineSplitter } from '../../cli/lines.ts'

function split(chunks: readonly Uint8Array[]): number[][] {
  const splitter = new LineSplitter()
  const lines = chunks.flatMap((chunk) => splitter.push(chunk))
  const last = splitter.end()
  return [...lines, ...(last === null ? [] : [last])].map((line) => [...(line as Uint8Array)])
}

describe('LineSplitter', () => {
  it('gives the same lines however the bytes are cut into chunks', () => {
    const bytes = fc.array(fc.constantFrom(10, 13, 0, 255, 65), { maxLength: 40 })
    fc.assert(
      fc.property(bytes, fc.array(fc.nat({ max: 40 }), { maxLength: 6 }), (content, cuts) => {
        const whole = Uint8Array.from(content)
        const places = [
          0,
          ...cuts.map((cut) => Math.min(cut, whole.length)).sort((a, b) => a - b),
          whole.length,
        ]
        const chunks = places.slice(1).map((end, index) => whole.subarray(places[index], end))
        expect(split(chunks)).toEqual(split([whole]))
      }),
    )
  })

  it('keeps empty lines and a last line without line feed, and makes none of a final line feed', () => {
    expect(split([Uint8Array.from([10, 65, 10, 10, 66])])).toEqual([[], [65], [], [66]])
    expect(split([Uint8Array.from([65, 10])])).toEqual([[65]])
    expect(split([])).toEqual([])
  })

  it('gives up on a line that never ends before it costs more than its bound', () => {
    const splitter = new LineSplitter()
    const chunk = new Uint8Array(LINE_BYTES_MAX / 10)
    for (let index = 0; index < 10; index++) expect(splitter.push(chunk)).toEqual([])
    expect(splitter.push(chunk)).toBe('too-long')
  })
})

describe('findBytes()', () => {
  it('finds the first whole separator', () => {
    const text = new TextEncoder()
    expect(findBytes(text.encode('a:b::c'), text.encode('::'))).toBe(3)
    expect(findBytes(text.encode('a:'), text.encode('::'))).toBe(-1)
    expect(findBytes(text.encode(''), text.encode(':'))).toBe(-1)
  })
})
