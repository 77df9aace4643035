/** Sample records and seeded bytes for the tests of src/records. */
import { BatchBuilder, type RecordInput, type SealOptions } from '../../../src/records/batch-builder.ts'

/** The seed of random tests: from the environment, or fixed; printed so that a failure can be repeated. */
export function seedOf(test: string): number {
  const seed = Number(process.env['SEED'] ?? 20_260_101)
  console.log(`${test}: SEED=${seed}`)
  return seed
}

/** Uniform integers in `[0, bound)` from a seed (mulberry32). */
export function randomFrom(seed: number): (bound: number) => number {
  let state = seed | 0
  return (bound) => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 0x1_0000_0000) * bound)
  }
}

export function randomBytes(random: (bound: number) => number, size: number): Uint8Array {
  return Uint8Array.from({ length: size }, () => random(256))
}

export function utf8(text: string): Uint8Array {
  return new TextEncoder().encode(text)
}

/** Lines of JSON: text that compresses, the same in every run. */
export function jsonLines(count: number): Uint8Array {
  const line = (index: number) =>
    JSON.stringify({ id: index * 7919, event: 'page_view', ts: 1.7e12 + index * 37 })
  return utf8(Array.from({ length: count }, (_, index) => line(index)).join('\n'))
}

export const SAMPLES: readonly RecordInput[] = [
  { key: utf8('k1'), value: utf8('value one'), timestamp: 1_700_000_000_000 },
  { key: null, value: utf8('no key'), timestamp: 1_700_000_000_005 },
  { key: utf8('tombstone'), value: null, timestamp: 1_699_999_999_990 },
  { key: new Uint8Array(0), value: new Uint8Array(0), timestamp: 1_700_000_000_005 },
  {
    key: utf8('with headers'),
    value: new Uint8Array(300).fill(0xab),
    timestamp: 1_700_000_000_009,
    headers: [
      { key: 'trace', value: utf8('0af7') },
      { key: 'naïve 👍', value: null },
      { key: '', value: new Uint8Array(0) },
    ],
  },
]

export function buildBatch(records: readonly RecordInput[], options?: SealOptions): Uint8Array {
  const builder = new BatchBuilder()
  for (const record of records) builder.append(record)
  return builder.seal(options)
}

export function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
}
