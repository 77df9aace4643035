/** What followed a batch that failed does not overtake it. */
import { describe, expect, it } from 'vitest'
import type { RequestOf, ResponseInputOf } from '../../src/protocol/apis.ts'
import { errorCode } from '../../src/protocol/errors.ts'
import type { ErrorName } from '../../src/protocol/errors.ts'
import { GUARDED_MAX, ProduceGuard } from '../../src/broker/produce-guard.ts'
import { makeBatch, produceRequest } from './support/batches.ts'

interface Sent {
  readonly sequence: number
  readonly partition?: number
  readonly producerId?: number
  readonly epoch?: number
}

function request({ sequence, partition = 0, producerId = 5, epoch = 0 }: Sent): RequestOf<'Produce'> {
  const batch = makeBatch({ producerId, producerEpoch: epoch, baseSequence: sequence })
  return produceRequest({ name: 'events', partition }, batch) as RequestOf<'Produce'>
}

function failure({ partition = 0 }: Sent, error: ErrorName): ResponseInputOf<'Produce'> {
  const response = { index: partition, errorCode: errorCode(error), baseOffset: -1 }
  return { responses: [{ name: 'events', partitionResponses: [response] }] }
}

function guardAfter(sent: Sent, error: ErrorName = 'NOT_LEADER_OR_FOLLOWER'): ProduceGuard {
  const guard = new ProduceGuard()
  guard.note(request(sent), failure(sent, error), 0)
  return guard
}

describe('ProduceGuard', () => {
  it('admits what follows a failed batch only when that has come again', () => {
    const guard = guardAfter({ sequence: 3 })
    expect(guard.admits(request({ sequence: 4 }), 1)).toBe(false)
    expect(guard.admits(request({ sequence: 5 }), 1)).toBe(false)
    expect(guard.admits(request({ sequence: 3 }), 1)).toBe(true)
    expect(guard.admits(request({ sequence: 4 }), 1)).toBe(true)
  })

  it('lets what followed go on when that comes again: its client has seen to the earlier one elsewhere', () => {
    const guard = guardAfter({ sequence: 3 })
    for (const sequence of [4, 5]) {
      expect(guard.admits(request({ sequence }), 1)).toBe(false)
      guard.note(request({ sequence }), failure({ sequence }, 'NOT_LEADER_OR_FOLLOWER'), 1)
    }
    expect(guard.admits(request({ sequence: 6 }), 2)).toBe(false)
    expect(guard.admits(request({ sequence: 4 }), 2)).toBe(true)
    expect(guard.admits(request({ sequence: 5 }), 2)).toBe(true)
  })

  it("stands in nobody's way for good, whatever was sent elsewhere meanwhile", () => {
    const guard = guardAfter({ sequence: 0 })
    for (let sequence = 1; sequence < 100; sequence++) {
      expect(guard.admits(request({ sequence }), sequence)).toBe(false)
      guard.note(request({ sequence }), failure({ sequence }, 'NOT_LEADER_OR_FOLLOWER'), sequence)
    }
    expect(guard.admits(request({ sequence: 99 }), 100)).toBe(true)
    expect(guard.admits(request({ sequence: 100 }), 100)).toBe(true)
  })

  it('takes those that failed together in whatever order their failures were noted', () => {
    const guard = guardAfter({ sequence: 4 })
    guard.note(request({ sequence: 3 }), failure({ sequence: 3 }, 'REQUEST_TIMED_OUT'), 0)
    expect(guard.admits(request({ sequence: 5 }), 1)).toBe(false)
    expect(guard.admits(request({ sequence: 3 }), 1)).toBe(true)
    expect(guard.admits(request({ sequence: 4 }), 1)).toBe(true)
  })

  it('holds up no other partition, no other producer, and no later epoch of this one', () => {
    const guard = guardAfter({ sequence: 3 })
    expect(guard.admits(request({ sequence: 4, partition: 1 }), 1)).toBe(true)
    expect(guard.admits(request({ sequence: 4, producerId: 6 }), 1)).toBe(true)
    expect(guard.admits(request({ sequence: 4, producerId: -1 }), 1)).toBe(true)
    expect(guard.admits(request({ sequence: 0, epoch: 1 }), 1)).toBe(true)
    expect(guard.admits(request({ sequence: 1, epoch: 1 }), 1)).toBe(true)
  })

  it('minds no failure for good, and none of what was sent without a sequence', () => {
    expect(guardAfter({ sequence: 3 }, 'INVALID_RECORD').admits(request({ sequence: 4 }), 1)).toBe(true)
    const guard = guardAfter({ sequence: -1, producerId: -1 })
    expect(guard.admits(request({ sequence: -1, producerId: -1 }), 1)).toBe(true)
  })

  it('forgets after minutes, when a client that gave up has long begun anew', () => {
    const guard = guardAfter({ sequence: 3 })
    expect(guard.admits(request({ sequence: 4 }), 300_001)).toBe(true)
  })

  it('says when it cannot keep track of any more', () => {
    const guard = new ProduceGuard()
    for (let partition = 0; partition < GUARDED_MAX; partition++) {
      const sent = { sequence: 3, partition }
      guard.note(request(sent), failure(sent, 'NOT_LEADER_OR_FOLLOWER'), 0)
    }
    expect(guard.isOverrun).toBe(false)
    const sent = { sequence: 3, partition: GUARDED_MAX }
    guard.note(request(sent), failure(sent, 'NOT_LEADER_OR_FOLLOWER'), 0)
    expect(guard.isOverrun).toBe(true)
  })
})
