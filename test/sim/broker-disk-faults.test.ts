/** The whole broker on a disk that fails or is full (docs/faults.md ST-7, ST-8, ST-10, ST-11; R13, D4). */
import { describe, expect, it } from 'vitest'
import { USUAL_LATENCY } from '../../src/env/sim/sim-disk.ts'
import { fetchRequest, makeBatch, produceRequest, valuesOf } from '../broker/support/batches.ts'
import { nameOf, SimBroker } from '../broker/support/sim-broker.ts'
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
  it('takes its partition offline until a restart, the others go on, and nobody was lied to', async () => {
    const host = await SimBroker.start({ seed: `${SEED} sync` })
    await host.createTopic('t', 2)
    expect(await produce(host, 't', 0, 'safe')).toBe('NONE')
    host.node.disk.fail({ kind: 'sync', path: (path) => path.includes('t-0/') })
    expect(await produce(host, 't', 0, 'lost?')).toBe('KAFKA_STORAGE_ERROR')
    for (let attempt = 0; attempt < 3; attempt++) {
      expect(await produce(host, 't', 0)).toBe('KAFKA_STORAGE_ERROR')
      expect((await read(host, 't', 0)).error).toBe('KAFKA_STORAGE_ERROR')
      expect(await produce(host, 't', 1, 'fine')).toBe('NONE')
    }
    const places = await host.call('ListOffsets', 5, {
      replicaId: -1,
      topics: [{ name: 't', partitions: [{ partitionIndex: 0, timestamp: -1 }] }],
    })
    expect(nameOf(places.topics[0]!.partitions[0]!.errorCode)).toBe('KAFKA_STORAGE_ERROR')
    expect(host.broker.unreadiness()).toEqual([expect.stringMatching(/^Partition t-0 is offline: .*\w/)])
    await host.createTopic('another')
    expect(await produce(host, 'another')).toBe('NONE')
    await host.restart('close')
    expect(host.broker.unreadiness()).toEqual([])
    expect((await read(host, 't', 0)).values[0]).toBe('safe')
    expect((await read(host, 't', 1)).values).toEqual(['fine', 'fine', 'fine'])
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
