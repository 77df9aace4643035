/** The cut rule of followers, for all pairs of short logs (docs/faults.md RP-2; KIP-279). */
import { describe, expect, it } from 'vitest'
import { LeaderEpochCache } from '../../src/log/leader-epoch-cache.ts'
import { findCut, lastRecordEpoch } from '../../src/replication/follower-state.ts'
import type { EpochHistory } from '../../src/replication/follower-state.ts'

/** The leader epoch of each record of a log. */
type History = readonly number[]

function historyOf(epochs: History, led: readonly number[] = []): EpochHistory {
  const cache = new LeaderEpochCache()
  for (const [offset, epoch] of epochs.entries()) cache.assign(epoch, offset)
  for (const epoch of led) cache.assign(epoch, epochs.length)
  return {
    logStartOffset: 0,
    logEndOffset: epochs.length,
    epochEntries: () => cache.entries,
    endOffsetForEpoch: (epoch) => cache.endOffsetForEpoch(epoch, epochs.length),
  }
}

/** All logs of up to `length` records whose epochs never fall and are at most `epochMax`. */
function logsOf(length: number, epochMax: number): History[] {
  const logs: History[] = [[]]
  for (let from = 0, size = 0; size < length; size++) {
    const to = logs.length
    for (const log of logs.slice(from, to))
      for (let epoch = log.at(-1) ?? 0; epoch <= epochMax; epoch++) logs.push([...log, epoch])
    from = to
  }
  return logs
}

/** What leader and follower say to each other until the leader agrees; the follower's log then. */
function reconcile(leader: History, leaderEpoch: number, follower: History, led: readonly number[]): History {
  let log = follower
  let stillLed = led
  for (let rounds = 0; rounds < 20; rounds++) {
    const own = historyOf(log, stillLed)
    const asked = lastRecordEpoch(own)
    const end = asked < 0 ? null : historyOf(leader, [leaderEpoch]).endOffsetForEpoch(asked)
    if (asked < 0 || (end !== null && end.epoch === asked && end.endOffset >= log.length)) return log
    const cut = findCut(own, end ?? { epoch: leaderEpoch, endOffset: leader.length })
    expect(cut, 'each cut takes something').toBeLessThan(log.length)
    log = log.slice(0, cut)
    stillLed = []
  }
  throw new Error('No agreement')
}

describe('The cut rule', () => {
  it('RP-2 R4: leaves the common beginning of any two logs, and no more', () => {
    // Two logs can hold the same epoch at the same offset only if they agree below: epochs have one writer.
    const agrees = (a: History, b: History): boolean => {
      for (let offset = 0; offset < Math.min(a.length, b.length); offset++)
        if (a[offset] === b[offset] && a.slice(0, offset).some((epoch, at) => epoch !== b[at])) return false
      return true
    }
    // An epoch has one writer: where it starts in one log it starts in the other, if both have it.
    const startsAgree = (a: History, b: History): boolean =>
      [...new Set(a)].every((epoch) => !b.includes(epoch) || a.indexOf(epoch) === b.indexOf(epoch))
    const logs = logsOf(4, 3)
    let pairs = 0
    for (const leader of logs) {
      for (const follower of logs) {
        if (!agrees(leader, follower) || !startsAgree(leader, follower)) continue
        pairs++
        let common = 0
        while (common < Math.min(leader.length, follower.length) && leader[common] === follower[common])
          common++
        expect(reconcile(leader, 4, follower, []), `${leader.join('')} / ${follower.join('')}`).toEqual(
          follower.slice(0, common),
        )
      }
    }
    expect(pairs).toBeGreaterThan(1000)
  })

  it('RP-16: an epoch that the follower led without a record leads nobody in circles', () => {
    expect(lastRecordEpoch(historyOf([1, 1], [3]))).toBe(1)
    expect(reconcile([1, 1, 2], 4, [1, 1], [3])).toEqual([1, 1])
    expect(lastRecordEpoch(historyOf([], [3]))).toBe(-1)
  })
})
