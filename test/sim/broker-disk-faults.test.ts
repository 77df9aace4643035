/** The whole broker on a disk that fails or is full (docs/faults.md ST-7, ST-8, ST-10, ST-11; R13, D4). */
import { describe, expect, it, vi } from 'vitest'
import { USUAL_LATENCY } from '../../src/env/sim/sim-disk.ts'
import { PartitionLog } from '../../src/log/partition-log.ts'
import { fetchRequest, makeBatch, produceRequest, valuesOf } from '../broker/support/batches.ts'
import { nameOf, SimBroker } from '../broker/support/sim-broker.ts'
import type { RawClient } from '../support/raw-client.ts'
import { seedFromEnv } from '../support/seed.ts'
import type { Call } from './broker-model.ts'
import { BrokerModel } from './broker-model.ts'

const SEED = seedFromEnv('broker disk faults')
/** A log that was refused space lets this pass before it tries again. */
const REFUSAL_MS = 5000

async function produce(host: SimBroker, topic: string, partition = 0, value = 'value'): Promise<string> {
  const request = produceRequest({ name: topic, partition }, makeBatch({ values: [value] }))
  const { responses } = await host.call('Produce', 9, request)
  return nameOf(responses[0]!.partitionResponses[0]!.errorCode)
}

async function read(host: SimBroker, topic: string, partition = 0) {
  const { responses } = await host.call('Fetch', 12, fetchRequest({ name: topic }, { partition }))
  const answer = responses[0]!.partitions[0]!
  return { error: nameOf(answer.errorCode), values: valuesOf(answer.records).map(({ value }) => value) }
}

describe('ST-7: a sync that fails once', () => {
  it('D4: takes the data directory and with it the broker out of service, and nobody was lied to', async () => {
    const host = await SimBroker.start({ seed: `${SEED} sync` })
    await host.createTopic('t', 2)
    expect(await produce(host, 't', 0, 'safe')).toBe('NONE')
    expect(await produce(host, 't', 1, 'fine')).toBe('NONE')
    const [first, second] = [await host.connect(), await host.connect()]
    host.node.disk.fail({ kind: 'sync', path: (path) => path.includes('t-0/') })
    const send = (client: RawClient, partition: number) =>
      client.call('Produce', 9, produceRequest({ name: 't', partition }, makeBatch({ values: ['lost?'] })))
    const answers = [send(first, 0), send(second, 1)]
    const reason = await host.run(host.broker.stopped)
    expect(reason).toMatchObject({ code: 'LOG_DIRECTORY_FAILED' })
    expect(reason?.message).toMatch(/^The data directory \/data\/broker has failed: \w/)
    for (const answer of answers) {
      const { responses } = await host.run(answer)
      // That of the other partition may have been synced before.
      expect(['NONE', 'KAFKA_STORAGE_ERROR']).toContain(
        nameOf(responses[0]!.partitionResponses[0]!.errorCode),
      )
    }
    const { responses } = await host.run(answers[0]!)
    expect(nameOf(responses[0]!.partitionResponses[0]!.errorCode)).toBe('KAFKA_STORAGE_ERROR')
    expect(host.broker.unreadiness()).toEqual([
      expect.stringContaining('The broker is stopping: The data directory'),
    ])
    expect(host.broker.metrics()).toContain('millrace_offline_log_directories 1\n')
    await host.run(host.broker.close())
    await host.start()
    expect(host.broker.unreadiness()).toEqual([])
    expect(host.broker.metrics()).toContain('millrace_offline_log_directories 0\n')
    expect((await read(host, 't', 0)).values[0]).toBe('safe')
    expect((await read(host, 't', 1)).values[0]).toBe('fine')
    expect(await produce(host, 't', 0)).toBe('NONE')
  })

  it('in the metadata log stops the broker, with the reason', async () => {
    const host = await SimBroker.start({ seed: `${SEED} metadata sync` })
    await host.createTopic('t')
    host.node.disk.fail({
      kind: 'sync',
      path: (path) => path.includes('__cluster_metadata-0/'),
      isSticky: true,
    })
    const client = await host.connect()
    const topics = [{ name: 'u', numPartitions: 1, replicationFactor: 1, assignments: [], configs: [] }]
    const answer = client.call('CreateTopics', 7, { topics }).then(
      (body) => nameOf(body.topics[0]!.errorCode),
      () => 'closed',
    )
    expect(await host.run(host.broker.stopped)).toMatchObject({ code: 'QUORUM_FAILED' })
    expect(['NOT_CONTROLLER', 'KAFKA_STORAGE_ERROR', 'closed']).toContain(await host.run(answer))
  })
})

describe('ST-8: a full disk', () => {
  it.each([0, 1, 40, 70, 100, 150, 200, 300, 400, 500, 700, 900, 1200])(
    'that had room for %i bytes more refuses for certain, serves reads, and takes writes again when there is room',
    async (freeBytes) => {
      const settings = { 'log.flush.offset.checkpoint.interval.ms': '100', 'log.segment.bytes': '1024' }
      const host = await SimBroker.start({ seed: `${SEED} full ${freeBytes}`, settings })
      const model = new BrokerModel(['KAFKA_STORAGE_ERROR'])
      const call: Call = (api, version, body) => host.call(api, version, body)
      await model.createTopic(call, 'a', 2, {})
      const a = model.find('a')!
      const producer = await model.newProducer(call)
      for (let index = 0; index < 4; index++) await model.produce(call, a, 0, 2, producer)
      const volume = host.node.disk.freeBytes
      host.node.disk.freeBytes = freeBytes
      for (let round = 0; round < 6; round++) {
        await model.produce(call, a, round % 2, 2, null)
        await model.createTopic(call, `more-${round}`, 2, {})
        await model.setRetention(call, a, String(100_000 + round))
        await host.pass(150)
        await model.check(call, true)
      }
      const refused = Object.keys(model.counts).filter((key) => key.endsWith('KAFKA_STORAGE_ERROR'))
      expect(refused.length, JSON.stringify(model.counts)).toBeGreaterThan(0)
      host.node.disk.freeBytes = volume
      await host.pass(REFUSAL_MS)
      for (const [, [topic]] of model.names) {
        if (topic === undefined || typeof topic === 'string') continue
        for (const partition of topic.partitions.keys()) {
          expect(await produce(host, topic.name, partition, 'x'), `${topic.name}-${partition}`).toBe('NONE')
          topic.partitions[partition]!.batches.push(sentValue('x'))
        }
      }
      expect(host.broker.unreadiness()).toEqual([])
      await host.createTopic('again')
      model.names.set('again', ['new'])
      await model.check(call)
      await host.restart('power cut')
      await model.check(call)
    },
  )

  it('has a new topic made whose log it has no room for: without a leader in Metadata until there is some', async () => {
    const host = await SimBroker.start({ seed: `${SEED} no room for a log` })
    await host.createTopic('old')
    const volume = host.node.disk.freeBytes
    host.node.disk.onOperation = (_number, _kind, path) => {
      if (path.includes('/new-0')) host.node.disk.freeBytes = 0
    }
    await host.createTopic('new')
    host.node.disk.onOperation = () => undefined
    const describeLeader = async () => {
      const { topics } = await host.call('Metadata', 12, { topics: [{ name: 'new' }] })
      const { topics: paged } = await host.call('DescribeTopicPartitions', 0, {
        topics: [{ name: 'new' }],
        responsePartitionLimit: 10,
        cursor: null,
      })
      const shown = [topics[0]!.partitions[0]!, paged[0]!.partitions[0]!].map((partition) => ({
        error: nameOf(partition.errorCode),
        leaderId: partition.leaderId,
        offline: partition.offlineReplicas,
      }))
      expect(shown[0]).toEqual(shown[1])
      return shown[0]
    }
    expect(await describeLeader()).toEqual({ error: 'LEADER_NOT_AVAILABLE', leaderId: -1, offline: [1] })
    expect(await produce(host, 'new')).toBe('KAFKA_STORAGE_ERROR')
    expect(host.broker.unreadiness()).toEqual([expect.stringMatching(/^Partition new-0 is offline: /)])
    expect(host.broker.metrics()).toContain('millrace_offline_partitions 1\n')
    expect((await read(host, 'old')).error).toBe('NONE')
    host.node.disk.freeBytes = volume
    await host.pass(REFUSAL_MS + 100)
    expect(await describeLeader()).toEqual({ error: 'NONE', leaderId: 1, offline: [] })
    expect(await produce(host, 'new')).toBe('NONE')
  })

  it('gives a partition that undid what a follower had read a new leader epoch, and producers go on', async () => {
    const host = await SimBroker.start({ seed: `${SEED} epoch` })
    await host.createTopic('t')
    expect(await produce(host, 't', 0, 'kept')).toBe('NONE')
    // A follower that reads every batch in the turn of its append.
    const appendAsLeader = Reflect.get(PartitionLog.prototype, 'appendAsLeader')
    const spy = vi.spyOn(PartitionLog.prototype, 'appendAsLeader').mockImplementation(function (
      this: PartitionLog,
      ...args
    ) {
      const result = appendAsLeader.apply(this, args)
      if (this.topic === 't' && result.kind === 'appended')
        void this.read(result.baseOffset, Infinity, 1e6, true)
      return result
    })
    const epochOf = async () => {
      const { topics } = await host.call('Metadata', 12, { topics: [{ name: 't' }] })
      return topics[0]!.partitions[0]!.leaderEpoch
    }
    const epoch = await epochOf()
    const volume = host.node.disk.freeBytes
    host.node.disk.freeBytes = 10
    try {
      expect(await produce(host, 't', 0, 'undone')).toBe('KAFKA_STORAGE_ERROR')
      await host.pass(1000)
      expect(await produce(host, 't', 0, 'refused')).toBe('NOT_LEADER_OR_FOLLOWER')
    } finally {
      spy.mockRestore()
    }
    host.node.disk.freeBytes = volume
    await host.pass(REFUSAL_MS + 100)
    expect(await epochOf()).toBe(epoch + 1)
    expect(await produce(host, 't', 0, 'goes on')).toBe('NONE')
    expect((await read(host, 't')).values).toEqual(['kept', 'goes on'])
  })

  it('does not keep a broker from closing: it tells what was not saved, and starts again when there is room', async () => {
    const host = await SimBroker.start({ seed: `${SEED} close` })
    await host.createTopic('t')
    expect(await produce(host, 't', 0, 'safe')).toBe('NONE')
    const volume = host.node.disk.freeBytes
    host.node.disk.freeBytes = 0
    await expect(host.run(host.broker.close())).rejects.toMatchObject({
      code: 'BROKER_NOT_CLOSED_CLEANLY',
      message: expect.stringContaining('the next start checks the logs') as string,
    })
    expect(await host.run(host.broker.stopped)).toBeNull()
    host.node.disk.freeBytes = volume
    await host.start()
    expect((await read(host, 't')).values).toEqual(['safe'])
  })

  it('gets its space back by the deletion of a topic', async () => {
    const host = await SimBroker.start({ seed: `${SEED} delete` })
    await host.createTopic('big', 1, { 'file.delete.delay.ms': '100' })
    await host.createTopic('small')
    await produce(host, 'big', 0, 'x'.repeat(100_000))
    host.node.disk.freeBytes = 300
    expect(await produce(host, 'small', 0, 'y'.repeat(5000))).toBe('KAFKA_STORAGE_ERROR')
    const { responses } = await host.call('DeleteTopics', 1, { topicNames: ['big'], timeoutMs: 1000 })
    expect(nameOf(responses[0]!.errorCode)).toBe('NONE')
    await host.pass(REFUSAL_MS)
    expect(await produce(host, 'small', 0, 'y'.repeat(5000))).toBe('NONE')
  })
})

/** A batch that the model takes as acknowledged wherever it is found. */
function sentValue(value: string) {
  return { values: [value], producer: null, bytes: new Uint8Array(0), offset: null, isRefused: false }
}

it('ST-11: a sync of half a minute times producers out and holds up nobody else', async () => {
  const host = await SimBroker.start({ seed: `${SEED} slow` })
  await host.createTopic('t')
  await produce(host, 't', 0, 'old')
  host.node.disk.latency = { ...USUAL_LATENCY, sync: [30_000, 30_000] }
  const client = await host.connect()
  const request = produceRequest({ name: 't' }, makeBatch({ values: ['slow'] }), { timeoutMs: 1000 })
  const startMs = host.simulation.nowMs
  const answer = client.call('Produce', 9, request)
  await host.pass(10)
  expect((await read(host, 't')).values).toEqual(['old'])
  await host.call('Metadata', 12, { topics: null })
  expect(host.simulation.nowMs - startMs).toBeLessThan(100)
  const { responses } = await host.run(answer)
  expect(nameOf(responses[0]!.partitionResponses[0]!.errorCode)).toBe('REQUEST_TIMED_OUT')
  expect(host.simulation.nowMs - startMs).toBeLessThan(1100)
  await host.pass(60_000)
  expect((await read(host, 't')).values).toEqual(['old', 'slow'])
})
