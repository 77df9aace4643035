import { expect, it } from 'vitest'
import { partitionOfKey } from '../../../src/broker/coordinator/partition-of-key.ts'

it.each([
  // As Java's `"…".hashCode() & 0x7fffffff` has it; the last two have hashes below zero.
  ['', 0],
  ['a', 97],
  ['events', -1291329255 & 0x7fffffff],
  ['polygenelubricants', -2147483648 & 0x7fffffff],
])('the key %j belongs to the partition that Java’s hash says', (key, hash) => {
  expect(partitionOfKey(key, 2 ** 31)).toBe(hash)
  expect(partitionOfKey(key, 50)).toBe(hash % 50)
})
