import { describe, expect, it } from 'vitest'
import { commonDurableEnd, NO_POSITION, ReplicaPosition } from '../../src/replication/replica-position.ts'

function fetched(id: number, durableEndOffset: number): ReplicaPosition {
  const position = new ReplicaPosition(id, 0)
  position.fetched(1, durableEndOffset + 5, durableEndOffset, 0, 100, 0)
  return position
}

describe('commonDurableEnd()', () => {
  const positions = new Map([2, 3].map((id) => [id, fetched(id, id * 10)]))
  it('R7: is the least durable end, the leader’s own included', () => {
    expect(commonDurableEnd([1, 2, 3], 1, 25, positions)).toBe(20)
    expect(commonDurableEnd([1, 3], 1, 25, positions)).toBe(25)
    expect(commonDurableEnd([1], 1, 7, positions)).toBe(7)
  })
  it('R7: waits for a member that said nothing in this epoch', () => {
    expect(commonDurableEnd([1, 4], 1, 25, positions)).toBe(NO_POSITION)
    expect(commonDurableEnd([1, 4], 1, 25, new Map([[4, new ReplicaPosition(4, 0)]]))).toBe(NO_POSITION)
  })
})

describe('ReplicaPosition', () => {
  it('holds a durable end to what the follower has at all', () => {
    const position = new ReplicaPosition(2, 0)
    position.fetched(1, 10, 12, 0, 20, 0)
    expect(position.durableEndOffset).toBe(10)
  })

  it('is caught up when it has all there is, and lags a whole time later', () => {
    const position = new ReplicaPosition(2, -Infinity)
    expect(position.isLagging(10, 0, 100)).toBe(true)
    position.fetched(1, 10, 10, 0, 10, 50)
    expect(position.isLagging(10, 10_000, 100)).toBe(false)
    expect([position.isLagging(11, 150, 100), position.isLagging(11, 151, 100)]).toEqual([false, true])
  })

  it('is caught up under a steady load when it has what there was at its last fetch', () => {
    const position = new ReplicaPosition(2, -Infinity)
    position.fetched(1, 5, 5, 0, 10, 0)
    position.fetched(1, 10, 9, 0, 20, 40)
    expect(position.isLagging(20, 50, 100)).toBe(true)
    position.fetched(1, 20, 20, 0, 30, 80)
    expect([position.caughtUpMs, position.isLagging(30, 140, 100)]).toEqual([40, false])
  })

  it('does not take an idle follower for a lagging one at the first record', () => {
    const position = new ReplicaPosition(2, 0)
    position.fetched(1, 10, 10, 0, 10, 0)
    position.leaderAppends(10, 9000)
    expect([position.isLagging(11, 9050, 100), position.isLagging(11, 9101, 100)]).toEqual([false, true])
  })
})
