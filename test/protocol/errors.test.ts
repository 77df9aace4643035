/** The error table: complete, and looked up both ways. */
import { describe, expect, test } from 'vitest'
import { errorByCode, errorByName, errorCode, errors } from '../../src/protocol/errors.ts'

describe('error table', () => {
  test('has every code from -1 to 133 once, in order', () => {
    expect(errors.map((error) => error.code)).toEqual(Array.from({ length: 135 }, (_, index) => index - 1))
    expect(new Set(errors.map((error) => error.name)).size).toBe(errors.length)
  })

  test('finds the same row by name and by code', () => {
    for (const error of errors) {
      expect(errorByCode(error.code)).toBe(error)
      expect(errorByName(error.name)).toBe(error)
      expect(errorCode(error.name)).toBe(error.code)
    }
  })

  test.each([134, -2, 32767, -32768])('takes code %d of a newer broker for UNKNOWN_SERVER_ERROR', (code) => {
    expect(errorByCode(code).name).toBe('UNKNOWN_SERVER_ERROR')
  })

  test.each([
    ['NONE', 0, false],
    ['OFFSET_OUT_OF_RANGE', 1, false],
    ['CORRUPT_MESSAGE', 2, true],
    ['UNKNOWN_TOPIC_OR_PARTITION', 3, true],
    ['NOT_LEADER_OR_FOLLOWER', 6, true],
    ['MESSAGE_TOO_LARGE', 10, false],
    ['NOT_ENOUGH_REPLICAS', 19, true],
    ['UNSUPPORTED_VERSION', 35, false],
    ['INVALID_REQUEST', 42, false],
    ['OUT_OF_ORDER_SEQUENCE_NUMBER', 45, false],
    ['KAFKA_STORAGE_ERROR', 56, true],
    ['FENCED_LEADER_EPOCH', 74, true],
    ['INVALID_RECORD', 87, false],
    ['UNKNOWN_TOPIC_ID', 100, true],
    ['SHARE_SESSION_LIMIT_REACHED', 133, true],
  ] as const)('%s is %d, retriable: %s', (name, code, retriable) => {
    expect(errorByName(name)).toMatchObject({ code, retriable })
  })

  test('descriptions are one sentence without a full stop', () => {
    for (const { description } of errors) expect(description).toMatch(/^[A-Z][^\n.]*[^.]$/)
  })
})
