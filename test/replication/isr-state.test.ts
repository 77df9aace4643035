import { describe, expect, it } from 'vitest'
import { IsrState } from '../../src/replication/isr-state.ts'
import type { IsrMember } from '../../src/replication/isr-state.ts'

const members = (...ids: number[]): IsrMember[] => ids.map((brokerId) => ({ brokerId, brokerEpoch: 10 }))

describe('IsrState', () => {
  it('R3 RP-6: counts the committed and the proposed while a growth is under way', () => {
    const state = new IsrState([1, 2], 5)
    state.propose(members(1, 2, 3))
    expect([state.committed, state.maximal, state.mayPropose]).toEqual([[1, 2], [1, 2, 3], false])
  })

  it('RP-6: goes on counting a member that it proposes to drop', () => {
    const state = new IsrState([1, 2, 3], 5)
    state.propose(members(1))
    expect(state.maximal).toEqual([1, 2, 3])
  })

  it('takes an answer, and ignores the image that says the same or less', () => {
    const state = new IsrState([1], 5)
    const proposal = state.propose(members(1, 2))
    expect(state.settle(proposal, { kind: 'altered', partitionEpoch: 6, isr: [1, 2] })).toBe(false)
    expect([state.committed, state.maximal, state.partitionEpoch]).toEqual([[1, 2], [1, 2], 6])
    expect([state.update([1, 2], 6), state.update([1], 5)]).toEqual([false, false])
    expect([state.committed, state.mayPropose]).toEqual([[1, 2], true])
  })

  it('forgets a proposal that was certainly refused', () => {
    const state = new IsrState([1], 5)
    const again = state.settle(state.propose(members(1, 2)), { kind: 'refused', error: 'INELIGIBLE_REPLICA' })
    expect([again, state.maximal, state.mayPropose]).toEqual([false, [1], true])
  })

  it('R3: repeats what had no answer, and counts it on when only the repetition was refused', () => {
    const state = new IsrState([1], 5)
    const proposal = state.propose(members(1, 2))
    expect(state.settle(proposal, { kind: 'unknown', error: 'timed out' })).toBe(true)
    expect(state.settle(proposal, { kind: 'refused', error: 'INELIGIBLE_REPLICA' })).toBe(false)
    // The first copy may still arrive, and find replica 2 eligible.
    expect([state.maximal, state.mayPropose]).toEqual([[1, 2], true])
    state.propose(members(1, 3))
    expect(state.maximal).toEqual([1, 2, 3])
    state.update([1, 3], 6)
    expect(state.maximal).toEqual([1, 3])
  })

  it('waits for the image when it was overtaken, counting everybody until then', () => {
    const state = new IsrState([1], 5)
    state.settle(state.propose(members(1, 2)), { kind: 'overtaken', error: 'INVALID_UPDATE_VERSION' })
    expect([state.maximal, state.mayPropose]).toEqual([[1, 2], false])
    expect(state.update([1, 3], 7)).toBe(true)
    expect([state.maximal, state.mayPropose]).toEqual([[1, 3], true])
  })

  it('lets an image end a proposal; the late answer to it changes nothing', () => {
    const state = new IsrState([1, 2], 5)
    const proposal = state.propose(members(1))
    state.update([1, 2, 3], 6)
    const next = state.propose(members(1, 2))
    expect(state.settle(proposal, { kind: 'refused', error: 'INELIGIBLE_REPLICA' })).toBe(false)
    expect(state.settle(proposal, { kind: 'altered', partitionEpoch: 6, isr: [1, 2, 3] })).toBe(false)
    expect([state.proposal, state.maximal]).toEqual([next, [1, 2, 3]])
  })
})
