/** Numbers of acts, as people type them. */
import { describe, expect, it } from 'vitest'
import { formatNumbers, parseNumbers } from './number-list.ts'

describe('A list of numbers', () => {
  it.each([
    [[], ''],
    [[7], '7'],
    [[0, 1, 2, 5, 7, 8], '0-2,5,7-8'],
  ])('of %j is %j, and back', (numbers, text) => {
    expect(formatNumbers(numbers)).toBe(text)
    if (text !== '') expect([...parseNumbers(text)]).toEqual(numbers)
  })

  it.each(['', ',', '3-', 'a', '3..5', '1,,2', '9999999'])('cannot be %j', (text) => {
    expect(() => parseNumbers(text)).toThrow(RangeError)
  })
})
