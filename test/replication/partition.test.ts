import { describe, expect, it } from 'vitest'
import { Partition } from '../../src/replication/partition.ts'
import type { AckFailure } from '../../src/replication/waiting-acks.ts'
import { readBatchHeader } from '../../src/records/batch-header.ts'
import { USUAL_LATENCY } from '../../src/env/sim/sim-disk.ts'
import { makeBatch, openLog, simulate, TOPIC_ID } from '../log/support.ts'

/** A partition over a log on a simulated disk whose syncs take 100 ms. */
async function open(seed: string) {
  const { simulation, env } = simulate(seed)
  const log = await simulation.runUntil(openLog(env))
  simulation.node('a').disk.latency = { ...USUAL_LATENCY, sync: [100, 100] }
  const partition = new Partition(env, log, {
    topic: 'orders',
    topicId: TOPIC_ID,
    index: 0,
    nodeId: 1,
    highWatermark: 0,
    minInsyncReplicas: 1,
    isr: { alterPartition: () => Promise.reject(new Error('Nobody joins or leaves')) },
    findBroker: () => undefined,
    replicaLagMsMax: 1000,
  })
  const lead = (leaderEpoch: number) =>
    partition.update({
      leader: 1,
      leaderEpoch,
      partitionEpoch: leaderEpoch,
      replicas: [1],
      isr: [1],
      isRecovering: false,
    })
  void lead(3)
  const append = (): number => {
    const batch = makeBatch()
    const result = partition.appendAsLeader(batch, readBatchHeader(batch))
    if (result.kind !== 'appended') throw new Error(JSON.stringify(result))
    return result.lastOffset + 1
  }
  const settled: (AckFailure | null)[] = []
  const wait = (endOffset: number, acks: 1 | -1, timeoutMs = 10_000): void =>
    partition.whenAcked(endOffset, acks, env.clock.monotonicMs() + timeoutMs, (failure) =>
      settled.push(failure),
    )
  const pass = (ms: number) => simulation.run(simulation.nowMs + ms)
  return { simulation, env, log, partition, lead, append, wait, settled, pass }
}

describe('Partition', () => {
  it('R7 R8: commits and shows nothing before it is durable', async () => {
    const { partition, append, wait, settled, pass } = await open('commit')
    const endOffset = append()
    wait(endOffset, -1)
    wait(endOffset, 1)
    expect([partition.highWatermark, partition.log.logEndOffset, settled]).toEqual([0, 1, []])
    expect((await partition.readCommitted(0, 1000, true)).bytes).toBe(0)
    await pass(1000)
    expect([partition.highWatermark, settled]).toEqual([1, [null, null]])
    expect((await partition.readCommitted(0, 1000, true)).bytes).toBeGreaterThan(0)
    expect(partition.waitingCount).toBe(0)
  })

  it('acknowledges what is safe already at once', async () => {
    const { append, wait, settled, pass } = await open('at once')
    const endOffset = append()
    await pass(1000)
    wait(endOffset, 1)
    wait(endOffset, -1)
    expect(settled).toEqual([null, null])
  })

  it('R13: times a waiter out at its deadline, and the record is committed later all the same', async () => {
    const { partition, append, wait, settled, pass } = await open('timeout')
    const endOffset = append()
    wait(endOffset, -1, 50)
    await pass(60)
    expect([settled, partition.highWatermark]).toEqual([['REQUEST_TIMED_OUT'], 0])
    await pass(1000)
    expect([settled, partition.highWatermark]).toEqual([['REQUEST_TIMED_OUT'], 1])
  })

  it('wakes watchers when the high watermark moves and when it stops, and no others', async () => {
    const { partition, append, pass } = await open('watch')
    const calls: string[] = []
    const gone = () => calls.push('gone')
    partition.watch(() => calls.push('here'))
    partition.watch(gone)
    partition.unwatch(gone)
    append()
    expect(calls).toEqual([])
    await pass(1000)
    expect(calls).toEqual(['here'])
    partition.stop('NOT_LEADER_OR_FOLLOWER')
    expect(calls).toEqual(['here', 'here'])
    partition.stop('KAFKA_STORAGE_ERROR')
    expect(partition.stopped).toBe('NOT_LEADER_OR_FOLLOWER')
    expect(calls).toHaveLength(2)
  })

  it('tells all who wait when it stops, and those who come later', async () => {
    const { partition, append, wait, settled } = await open('stop')
    const endOffset = append()
    wait(endOffset, 1)
    wait(endOffset, -1)
    partition.stop('UNKNOWN_TOPIC_OR_PARTITION')
    wait(endOffset, -1)
    expect(settled).toEqual(Array.from({ length: 3 }, () => 'UNKNOWN_TOPIC_OR_PARTITION'))
  })

  it('ST-7: goes offline when a sync fails; what was not acknowledged fails, the high watermark stays', async () => {
    const { simulation, partition, append, wait, settled, pass } = await open('sync')
    append()
    await pass(1000)
    simulation.node('a').disk.fail({ kind: 'sync' })
    wait(append(), -1)
    await pass(1000)
    expect([settled, partition.stopped, partition.highWatermark]).toEqual([
      ['KAFKA_STORAGE_ERROR'],
      'KAFKA_STORAGE_ERROR',
      1,
    ])
  })

  it('ST-8: fails what a full disk undid, and takes batches again', async () => {
    const { simulation, partition, append, wait, settled, pass } = await open('full')
    const { disk } = simulation.node('a')
    const volume = disk.freeBytes
    disk.freeBytes = 10
    wait(append(), -1)
    await pass(1000)
    expect([settled, partition.stopped, partition.highWatermark]).toEqual([['KAFKA_STORAGE_ERROR'], null, 0])
    disk.freeBytes = volume
    await pass(10_000)
    wait(append(), -1)
    await pass(1000)
    expect([settled[1], partition.highWatermark]).toEqual([null, 1])
  })

  it('KIP-320: tells older epochs from newer ones, and leads on in higher ones only', async () => {
    const { partition, lead, append, pass } = await open('epochs')
    expect([-1, 2, 3, 4].map((epoch) => partition.checkEpoch(epoch))).toEqual([
      null,
      'FENCED_LEADER_EPOCH',
      null,
      'UNKNOWN_LEADER_EPOCH',
    ])
    append()
    void lead(5)
    append()
    await pass(1000)
    expect(partition.log.epochEntries()).toEqual([
      { epoch: 3, startOffset: 0 },
      { epoch: 5, startOffset: 1 },
    ])
    void lead(4)
    expect(partition.leaderEpoch).toBe(5)
  })
})
