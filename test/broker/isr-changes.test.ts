import { describe, expect, it } from 'vitest'
import { IsrChanges } from '../../src/broker/isr-changes.ts'
import { Simulation } from '../../src/env/sim/simulation.ts'
import type { RequestOf, ResponseOf } from '../../src/protocol/apis.ts'
import { errorCode } from '../../src/protocol/errors.ts'
import type { IsrChange } from '../../src/replication/partition-state.ts'

type Request = RequestOf<'AlterPartition'>

const TOPIC_ID = 'AAAAAAAAAAAAAAAAAAAAAQ'

function change(index: number, partitionEpoch: number): IsrChange {
  const newIsr = [{ brokerId: 1, brokerEpoch: 7 }]
  return { topic: 't', topicId: TOPIC_ID, index, leaderEpoch: 3, partitionEpoch, newIsr }
}

/** Grants everything. */
function granted({ topics }: Request): ResponseOf<'AlterPartition'> {
  return {
    ...{ throttleTimeMs: 0, errorCode: errorCode('NONE') },
    topics: topics.map(({ topicId, partitions }) => ({
      topicId,
      partitions: partitions.map(({ partitionIndex, partitionEpoch, leaderEpoch, newIsrWithEpochs }) => ({
        ...{ partitionIndex, errorCode: 0, leaderId: 1, leaderEpoch, leaderRecoveryState: 0 },
        ...{ isr: newIsrWithEpochs.map(({ brokerId }) => brokerId), partitionEpoch: partitionEpoch + 1 },
      })),
    })),
  }
}

describe('Changes of in-sync sets', () => {
  it('go together while a request is under way, and a partition is named once: the newest change of it counts', async () => {
    const simulation = new Simulation({ seed: 1 })
    const requests: Request[] = []
    let answerFirst: () => void = () => undefined
    const changes = new IsrChanges({
      clock: simulation.env('a').clock,
      nodeId: 1,
      brokerEpoch: () => 7,
      send: (request) => {
        requests.push(request)
        if (requests.length > 1) return Promise.resolve(granted(request))
        return new Promise((resolve) => (answerFirst = () => resolve(granted(request))))
      },
    })
    const first = changes.alterPartition(change(0, 1))
    await simulation.run(10)
    const old = changes.alterPartition(change(0, 2))
    const other = changes.alterPartition(change(1, 5))
    const newest = changes.alterPartition(change(0, 3))
    answerFirst()
    const outcomes = await simulation.runUntil(Promise.all([first, old, other, newest]), 1000)
    expect(requests.map(({ topics }) => topics[0]!.partitions.map((each) => each.partitionIndex))).toEqual([
      [0],
      [1, 0],
    ])
    expect(outcomes).toEqual([
      { kind: 'altered', partitionEpoch: 2, isr: [1] },
      { kind: 'refused', error: 'INVALID_UPDATE_VERSION' },
      { kind: 'altered', partitionEpoch: 6, isr: [1] },
      { kind: 'altered', partitionEpoch: 4, isr: [1] },
    ])
  })
})
