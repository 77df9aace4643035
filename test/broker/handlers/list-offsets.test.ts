/** ListOffsets and OffsetForLeaderEpoch on a whole broker, in every version. */
import { beforeAll, describe, expect, it } from 'vitest'
import { USUAL_LATENCY } from '../../../src/env/sim/sim-disk.ts'
import { versionsOf } from '../../support/raw-client.ts'
import { makeBatch, produceRequest, START_MS } from '../support/batches.ts'
import { nameOf, SimBroker } from '../support/sim-broker.ts'

const EPOCH_SINCE = 4
let host: SimBroker
let epoch: number
beforeAll(async () => {
  host = await SimBroker.start()
  await host.createTopic('empty')
  await host.createTopic('t')
  // The largest timestamp is at offset 2, the newest record at 4.
  const timestamps = [10, 20, 900, 30, 40]
  for (const timestampMs of timestamps) {
    const batch = makeBatch({ timestampMs: START_MS + timestampMs })
    await host.call('Produce', 9, produceRequest({ name: 't' }, batch))
  }
  await host.call('DeleteRecords', 2, {
    topics: [{ name: 't', partitions: [{ partitionIndex: 0, offset: 1 }] }],
    timeoutMs: 1000,
  })
  const { topics } = await host.call('Metadata', 12, { topics: [{ name: 't' }] })
  epoch = topics[0]!.partitions[0]!.leaderEpoch
})

async function list(
  version: number,
  timestamp: number,
  where: { topic?: string; partition?: number; epoch?: number } = {},
) {
  const { topic = 't', partition = 0 } = where
  const partitions = [{ partitionIndex: partition, timestamp, currentLeaderEpoch: where.epoch ?? -1 }]
  const body = await host.call('ListOffsets', version, {
    replicaId: -1,
    isolationLevel: version >= 2 ? 1 : 0,
    topics: [{ name: topic, partitions }],
  })
  expect(body.topics[0]!.name).toBe(topic)
  const { errorCode, offset, timestamp: found, leaderEpoch } = body.topics[0]!.partitions[0]!
  return [nameOf(errorCode), offset, found, leaderEpoch]
}

const NOTHING = ['NONE', -1, -1, -1]

describe.each(versionsOf('ListOffsets'))('ListOffsets v%i', (version) => {
  const epochShown = (): number => (version >= EPOCH_SINCE ? epoch : -1)

  it('latest and earliest are the ends of what can be read', async () => {
    expect(await list(version, -1)).toEqual(['NONE', 5, -1, epochShown()])
    expect(await list(version, -2)).toEqual(['NONE', 1, -1, epochShown()])
    expect(await list(version, -1, { topic: 'empty' })).toEqual(['NONE', 0, -1, epochShown()])
  })

  it('a time finds the first record at or after it that is still there', async () => {
    expect(await list(version, 0)).toEqual(['NONE', 1, START_MS + 20, epochShown()])
    expect(await list(version, START_MS + 25)).toEqual(['NONE', 2, START_MS + 900, epochShown()])
    expect(await list(version, START_MS + 901)).toEqual(NOTHING)
    expect(await list(version, Number.MAX_SAFE_INTEGER)).toEqual(NOTHING)
    expect(await list(version, 0, { topic: 'empty' })).toEqual(NOTHING)
  })

  it.each([
    [-3, 7, ['NONE', 2, START_MS + 900]],
    [-4, 8, ['NONE', 1, -1]],
    [-5, 9, ['NONE', -1, -1]],
    [-6, 11, ['NONE', -1, -1]],
    [-7, Infinity, []],
    [Number.MIN_SAFE_INTEGER, Infinity, []],
  ])('the place %i is known from version %d on', async (timestamp, since, wanted) => {
    const answer = await list(version, timestamp)
    if (version < since) expect(answer).toEqual(['UNSUPPORTED_VERSION', -1, -1, -1])
    else expect(answer.slice(0, 3)).toEqual(wanted)
  })

  it('tells what is not there, and checks the epoch from version 4 on', async () => {
    expect(await list(version, -1, { topic: 'nowhere' })).toEqual(['UNKNOWN_TOPIC_OR_PARTITION', -1, -1, -1])
    expect(await list(version, -1, { partition: 1 })).toEqual(['UNKNOWN_TOPIC_OR_PARTITION', -1, -1, -1])
    if (version < EPOCH_SINCE) return
    expect((await list(version, -1, { epoch: epoch + 1 }))[0]).toBe('UNKNOWN_LEADER_EPOCH')
    expect((await list(version, -1, { epoch }))[0]).toBe('NONE')
  })
})

it('X4: places above the high watermark are told to nobody', async () => {
  const own = await SimBroker.start({ seed: 'unsafe' })
  await own.createTopic('t')
  await own.call('Produce', 9, produceRequest({ name: 't' }, makeBatch({ timestampMs: START_MS })))
  own.node.disk.latency = { ...USUAL_LATENCY, sync: [1e9, 1e9] }
  const client = await own.connect()
  void client.call('Produce', 9, produceRequest({ name: 't' }, makeBatch({ timestampMs: START_MS + 5 })))
  await own.pass(100)
  const offsetAt = async (timestamp: number, replicaId: number) => {
    const { topics } = await own.call('ListOffsets', 7, {
      replicaId,
      topics: [{ name: 't', partitions: [{ partitionIndex: 0, timestamp }] }],
    })
    return topics[0]!.partitions[0]!.offset
  }
  for (const replicaId of [-1, 1]) {
    expect(await offsetAt(-1, replicaId)).toBe(1)
    expect(await offsetAt(-3, replicaId)).toBe(0)
    expect(await offsetAt(START_MS + 1, replicaId)).toBe(-1)
  }
})

describe.each(versionsOf('OffsetForLeaderEpoch'))('OffsetForLeaderEpoch v%i', (version) => {
  it('answers the end of the largest epoch at or below the one asked for', async () => {
    const own = await SimBroker.start({ seed: `epochs-${version}` })
    await own.createTopic('t')
    const produce = () => own.call('Produce', 9, produceRequest({ name: 't' }, makeBatch()))
    const leaderEpoch = async () => {
      const { topics } = await own.call('Metadata', 12, { topics: [{ name: 't' }] })
      return topics[0]!.partitions[0]!.leaderEpoch
    }
    const first = await leaderEpoch()
    await produce()
    await own.restart()
    const second = await leaderEpoch()
    expect(second).toBeGreaterThan(first)
    await produce()
    await produce()
    const ask = async (asked: number, current = -1, partition = 0) => {
      const partitions = [{ partition, currentLeaderEpoch: current, leaderEpoch: asked }]
      const body = await own.call('OffsetForLeaderEpoch', version, { topics: [{ topic: 't', partitions }] })
      const answer = body.topics[0]!.partitions[0]!
      return [nameOf(answer.errorCode), answer.leaderEpoch, answer.endOffset]
    }
    expect(await ask(first)).toEqual(['NONE', first, 1])
    expect(await ask(second)).toEqual(['NONE', second, 3])
    expect(await ask(second + 5)).toEqual(['NONE', -1, -1])
    expect(await ask(-1)).toEqual(['NONE', -1, -1])
    expect(await ask(second, first)).toEqual(['FENCED_LEADER_EPOCH', -1, -1])
    expect(await ask(second, second + 1)).toEqual(['UNKNOWN_LEADER_EPOCH', -1, -1])
    expect(await ask(second, -1, 3)).toEqual(['UNKNOWN_TOPIC_OR_PARTITION', -1, -1])
  })
})
