/** Every failure has a sentence, an exit code, and where it helps, what to do next. */
import { describe, expect, it } from 'vitest'
import { CommandError, describeError } from '../../cli/errors.ts'
import { EXIT } from '../../cli/exit-codes.ts'
import { nearestName } from '../../cli/nearest.ts'

class CodedError extends Error {
  readonly code: string

  constructor(code: string, message = 'Cannot do it: reasons') {
    super(message)
    this.code = code
  }
}

describe('describeError()', () => {
  it.each([
    ['CLIENT_CANNOT_CONNECT', EXIT.cannotConnect],
    ['CLIENT_DISCONNECTED', EXIT.cannotConnect],
    ['CLIENT_BAD_ARGUMENT', EXIT.usage],
    ['UNKNOWN_TOPIC_OR_PARTITION', EXIT.notFound],
    ['TOPIC_AUTHORIZATION_FAILED', EXIT.notAuthorised],
    ['CLUSTER_AUTHORIZATION_FAILED', EXIT.notAuthorised],
    ['SASL_AUTHENTICATION_FAILED', EXIT.notAuthorised],
    ['INVALID_TOPIC_EXCEPTION', EXIT.usage],
    ['CONFIG_UNKNOWN', EXIT.usage],
    ['FILE_LOCKED', EXIT.failed],
    ['FILE_NO_ACCESS', EXIT.notAuthorised],
    ['FILE_NOT_FOUND', EXIT.notFound],
    ['NETWORK_ADDRESS_IN_USE', EXIT.failed],
    ['LOG_DIRECTORY_MISMATCH', EXIT.failed],
    ['QUORUM_STATE_CORRUPT', EXIT.failed],
    ['EACCES', EXIT.notAuthorised],
  ])('answers %s with exit code %d and no stack', (code, exitCode) => {
    expect(describeError(new CodedError(code))).toMatchObject({ exitCode, stack: null })
  })

  it('tells what to do when no broker is there', () => {
    expect(describeError(new CodedError('CLIENT_CANNOT_CONNECT')).advice).toContain('millrace start')
  })

  it('owns up to what it does not know, with the stack for a report', () => {
    const described = describeError(new TypeError('x is not a function'))
    expect(described.message).toBe('x is not a function (this is a fault of millrace)')
    expect(described.stack).toContain('errors.test.ts')
    expect(described.exitCode).toBe(EXIT.failed)
  })

  it('passes on what a command says itself', () => {
    const error = new CommandError(EXIT.notFound, 'Cannot find it', 'Look elsewhere')
    expect(describeError(error)).toEqual({
      message: 'Cannot find it',
      advice: 'Look elsewhere',
      exitCode: EXIT.notFound,
      stack: null,
    })
  })
})

describe('nearestName()', () => {
  it('finds what was meant, swapped letters included, and nothing when nothing is near', () => {
    expect(nearestName('evnets', ['orders', 'events'])).toBe('events')
    expect(nearestName('EVENTS', ['events'])).toBe('events')
    expect(nearestName('zzzzzz', ['orders', 'events'])).toBeNull()
    expect(nearestName('x'.repeat(10_000), ['events'])).toBeNull()
  })
})
