/** A compacted topic on a whole broker: what clients are given after the cleaner came by (docs/faults.md ST-17, R10). */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { CodecSet } from '../../src/records/compression/codec-set.ts'
import { batchSizeAt } from '../../src/records/batch-header.ts'
import { decodeRecords } from '../../src/records/record-reader.ts'
import { fetchRequest, makeBatch, produceRequest } from './support/batches.ts'
import { HOME, nameOf, SimBroker } from './support/sim-broker.ts'

const PRODUCE = 9
const FETCH = 12
const CONFIGS = {
  'cleanup.policy': 'compact',
  'segment.bytes': '1024',
  'min.cleanable.dirty.ratio': '0.1',
  'delete.retention.ms': '60000',
}
const codecs = new CodecSet()
let host: SimBroker
beforeAll(async () => {
  host = await SimBroker.start({ seed: 'compaction', settings: { 'log.cleaner.backoff.ms': '5000' } })
})
afterAll(() => host.run(host.broker.close()))

async function put(topic: string, key: string, value: string): Promise<void> {
  const batch = makeBatch({ key, values: [value], timestampMs: -1 })
  const { responses } = await host.call('Produce', PRODUCE, produceRequest({ name: topic }, batch))
  expect(nameOf(responses[0]!.partitionResponses[0]!.errorCode)).toBe('NONE')
}

/** Reads to the end as a consumer does that goes on behind the last record it was given, as kafkajs does. */
async function readAll(topic: string, partitionMaxBytes = 2 ** 20): Promise<Map<string, string>> {
  const table = new Map<string, string>()
  for (let offset = 0; ;) {
    const body = await host.call('Fetch', FETCH, fetchRequest({ name: topic }, { offset, partitionMaxBytes }))
    const { records, highWatermark } = body.responses[0]!.partitions[0]!
    const bytes = Buffer.concat(
      records instanceof Uint8Array ? [records] : (records as unknown as Uint8Array[]),
    )
    let last = -1
    for (let at = 0; at < bytes.length; at += batchSizeAt(bytes, at)) {
      for (const record of decodeRecords(bytes.subarray(at), codecs)) {
        table.set(Buffer.from(record.key!).toString(), Buffer.from(record.value!).toString())
        last = record.offset
      }
    }
    if (last < 0 || last + 1 >= highWatermark) return table
    offset = last + 1
  }
}

async function bytesOf(topic: string): Promise<number> {
  const { files } = host.node.env
  let bytes = 0
  for (const name of await files.list(`${HOME}/${topic}-0`)) {
    if (name.endsWith('.log')) bytes += (await files.stat(`${HOME}/${topic}-0/${name}`))?.size ?? 0
  }
  return bytes
}

describe('A compacted topic', () => {
  it('ST-17: shrinks by itself, and gives every key with its newest value, in answers of any size, over a restart', async () => {
    await host.createTopic('table', 1, CONFIGS)
    for (let index = 0; index < 200; index++) await put('table', `key-${index % 7}`, `value-${index}`)
    const wanted = new Map(Array.from({ length: 7 }, (_, key) => [`key-${key}`, '']))
    for (let index = 0; index < 200; index++) wanted.set(`key-${index % 7}`, `value-${index}`)
    const before = await host.run(bytesOf('table'))
    await host.pass(20_000)
    expect(await host.run(bytesOf('table'))).toBeLessThan(before / 3)
    expect(await readAll('table')).toEqual(wanted)
    expect(await readAll('table', 1)).toEqual(wanted)
    for (const die of ['close', 'power cut'] as const) {
      await host.restart(die)
      expect(await readAll('table', 1)).toEqual(wanted)
    }
    await put('table', 'key-0', 'after')
    expect((await readAll('table')).get('key-0')).toBe('after')
  })

  it('keeps what it has when it is compacted no more', async () => {
    await host.createTopic('changing', 1, CONFIGS)
    for (let index = 0; index < 60; index++) await put('changing', `key-${index % 3}`, `value-${index}`)
    await host.pass(20_000)
    const wanted = await readAll('changing')
    const alter = {
      resources: [
        {
          ...{ resourceType: 2, resourceName: 'changing' },
          configs: [{ name: 'cleanup.policy', configOperation: 0, value: 'delete' }],
        },
      ],
      validateOnly: false,
    }
    await host.call('IncrementalAlterConfigs', 1, alter)
    await host.restart('power cut')
    expect(await readAll('changing')).toEqual(wanted)
  })
})
