import { describe, expect, it } from 'vitest'
import { DEFAULT_LOG_CONFIG } from '../../../src/log/log-config.ts'
import type { PartitionImage } from '../../../src/metadata/cluster-image.ts'
import { ReplicaRules } from './replicas.ts'
import type { LeaderLike, ReplicaLike } from './replicas.ts'
import { Truths } from './truth.ts'

const B1 = { id: 1, name: 'b1#1' }
const IMAGE: PartitionImage = {
  ...{ leader: 1, leaderEpoch: 3, partitionEpoch: 7, replicas: [1, 2, 3], isr: [1, 2] },
  ...{ removingReplicas: [], addingReplicas: [], isRecovering: false, directories: [] },
  ...{ eligibleLeaderReplicas: [], lastKnownEligibleLeaders: [] },
}

/** A leader of three replicas, of which two are in sync and have ten records. */
function aWorld() {
  const truths = new Truths()
  const platters = new Map([
    [1, 20],
    [2, 20],
    [3, 20],
  ])
  const rules = new ReplicaRules(truths, {
    minIsr: () => 2,
    presentMinIsr: () => 2,
    isOnPlatter: (id, _truth, offset) => platters.get(id)! >= offset,
    hostIds: () => [1, 2, 3],
  })
  const told = new Map([[2, 20]])
  const state: { -readonly [Key in keyof LeaderLike]: LeaderLike[Key] } = {
    ...{ isr: [1, 2], maximalIsr: [1, 2], partitionEpoch: 7, leaderEpoch: 3, epochStartOffset: 5 },
    position: (id) => ({ durableEndOffset: told.get(id) ?? -1 }),
  }
  const log = { logStartOffset: 0, logEndOffset: 20, durableEndOffset: 20, config: DEFAULT_LOG_CONFIG }
  const replica = {
    ...{ topic: 't', topicId: 'id', index: 0, highWatermark: 10, leaderEpoch: 3, isLeader: true },
    ...{ stopped: null, fetchPosition: () => null, log, leaderState: state as LeaderLike | null },
  }
  const truth = truths.of('t', 'id', 0)
  truth.follow(IMAGE)
  const look = (life = B1, other: ReplicaLike = replica): void => rules.look(life, other)
  look()
  return { truth, platters, told, state, log, replica, look }
}

describe('ReplicaRules', () => {
  it('finds nothing in a leader that commits what all in sync have on their platters', () => {
    const { replica, log, look, truth } = aWorld()
    replica.highWatermark = 20
    log.logEndOffset = 25
    look()
    expect(truth.trueHighWatermark).toBe(20)
    expect(() => truth.checkAtRest()).not.toThrow()
  })

  it('R1: a leader of the newest epoch whose log ends below what was committed', () => {
    const { truth, log, look } = aWorld()
    truth.trueHighWatermark = 22
    log.logEndOffset = 21
    expect(look).toThrow(/^R1: /)
  })

  it('R3: a leader that does not wait for one who can be elected', () => {
    const { state, look } = aWorld()
    state.maximalIsr = [1]
    expect(look).toThrow(/^R3: /)
  })

  it('R6: two brokers, or two lives of one, that append in one leader epoch', () => {
    const { log, look, replica } = aWorld()
    log.logEndOffset = 21
    look()
    const again = { ...replica, log: { ...log } }
    const next = { id: 1, name: 'b1#2' }
    look(next, again)
    again.log.logEndOffset = 22
    expect(() => look(next, again)).toThrow(/^R6: /)
  })

  it('R7: a high watermark that falls', () => {
    const { replica, look } = aWorld()
    replica.highWatermark = 9
    expect(look).toThrow(/^R7: /)
  })

  it('R7: a commit that a member of the maximal ISR has not told to have', () => {
    const { replica, told, look } = aWorld()
    told.set(2, 14)
    replica.highWatermark = 15
    expect(look).toThrow(/^R7: /)
  })

  it('R7: takes a commit of the epoch that ended in the same turn, if that had been told of it', () => {
    const { replica, state, told, look } = aWorld()
    told.set(2, 15)
    replica.highWatermark = 15
    replica.leaderEpoch++
    const untold = { ...state, leaderEpoch: replica.leaderEpoch, position: () => undefined }
    replica.leaderState = untold
    expect(look).not.toThrow()
    replica.highWatermark = 16
    replica.leaderState = { ...untold }
    expect(look).toThrow(/^R7: /)
  })

  it('R7: takes a commit by a set that came and went unseen, also when the epoch then ended; not by one that was seen', () => {
    const unseen = (partitionEpoch: number, endsEpoch: boolean) => {
      const { replica, state, told, look } = aWorld()
      told.set(2, 15)
      state.partitionEpoch = partitionEpoch
      state.isr = state.maximalIsr = [1]
      replica.highWatermark = 15
      if (endsEpoch) replica.leaderState = { ...state, leaderEpoch: ++replica.leaderEpoch }
      return look
    }
    for (const endsEpoch of [false, true]) {
      expect(unseen(9, endsEpoch)).not.toThrow()
      expect(unseen(8, endsEpoch)).toThrow(/^R7: /)
    }
  })

  it('R7: a commit of what the leader itself has not on its disk', () => {
    const { replica, log, look } = aWorld()
    log.durableEndOffset = 14
    replica.highWatermark = 15
    expect(look).toThrow(/^R7: /)
  })

  it('R7: a commit with too few in sync', () => {
    const { replica, state, truth, look } = aWorld()
    state.isr = [1]
    state.maximalIsr = [1, 2]
    truth.image = { ...IMAGE, isr: [1] }
    replica.highWatermark = 15
    expect(look).toThrow(/^R7: /)
  })

  it('R11: who can be elected cuts what was committed, and is a candidate still in the next state', () => {
    const { replica, log, look, truth } = aWorld()
    truth.trueHighWatermark = 18
    replica.leaderState = null
    replica.isLeader = false
    log.logEndOffset = 15
    look()
    expect(() => truth.follow({ ...IMAGE, partitionEpoch: 8 })).toThrow(/^R11: /)
  })

  it('R11: says nothing of one that was taken out before it cut', () => {
    const { replica, log, look, truth } = aWorld()
    truth.trueHighWatermark = 18
    replica.leaderState = null
    replica.isLeader = false
    log.logEndOffset = 15
    look()
    truth.follow({ ...IMAGE, partitionEpoch: 8, leader: 2, leaderEpoch: 4, isr: [2] })
    expect(() => truth.checkAtRest()).not.toThrow()
  })

  it('R12: a log start that falls, or marks in the wrong order', () => {
    const falling = aWorld()
    falling.log.logStartOffset = 5
    falling.look()
    falling.log.logStartOffset = 4
    expect(falling.look).toThrow(/^R12: /)
    const high = aWorld()
    high.log.logEndOffset = 9
    expect(high.look).toThrow(/^R12: /)
    const low = aWorld()
    low.log.logStartOffset = 11
    expect(low.look).toThrow(/^R12: /)
  })

  it('D1: a commit that is on too few platters, or not on the leader’s', () => {
    const few = aWorld()
    few.platters.set(2, 5).set(3, 5)
    few.replica.highWatermark = 15
    expect(few.look).toThrow(/^D1: /)
    const own = aWorld()
    own.platters.set(1, 5)
    own.replica.highWatermark = 15
    expect(own.look).toThrow(/^D1: /)
  })

  it('D1: a commit that one in sync has not on its platter', () => {
    const { platters, replica, look, truth } = aWorld()
    platters.set(2, 5)
    replica.highWatermark = 15
    look()
    expect(() => truth.checkAtRest()).toThrow(/^D1: /)
  })
})
