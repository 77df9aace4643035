/** What may be answered to fetches that are passed on has a bound, and each fetch its part. */
import { expect, it } from 'vitest'
import { AnswerRoom } from '../../src/broker/answer-room.ts'

const MIB = 2 ** 20

it('gives a fetch what it wants while there is room, and what a tail needs when there is none', () => {
  const room = new AnswerRoom(64 * MIB)
  expect(room.take(MIB)).toBe(MIB)
  expect(room.take(64 * MIB)).toBe((63 * MIB) / 8)
  const shares = Array.from({ length: 1000 }, () => room.take(8 * MIB))
  expect(shares.at(-1)).toBe(64 * 1024)
  expect(room.takenBytes).toBeLessThanOrEqual(64 * MIB + 1000 * 64 * 1024)
  expect(room.take(100)).toBe(100)
  expect(room.take(-1)).toBe(0)
})

it('has all of it again when everything was given back', () => {
  const room = new AnswerRoom(64 * MIB)
  const shares = Array.from({ length: 50 }, () => room.take(8 * MIB))
  for (const share of shares) room.give(share)
  expect(room.takenBytes).toBe(0)
  expect(room.take(64 * MIB)).toBe(8 * MIB)
})
