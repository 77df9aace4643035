/** DescribeConfigs, AlterConfigs, IncrementalAlterConfigs, ListConfigResources and DescribeLogDirs, in every version. */
import { beforeAll, describe, expect, it } from 'vitest'
import { apis } from '../../../src/protocol/apis.ts'
import { versionsOf } from '../../support/raw-client.ts'
import { makeBatch, produceRequest } from '../support/batches.ts'
import { HOME, nameOf, SimBroker } from '../support/sim-broker.ts'

const TOPIC = 2
const BROKER = 4
const [SET, DELETE, APPEND, SUBTRACT] = [0, 1, 2, 3]
const DYNAMIC_TOPIC = 1
const DEFAULT_BROKER = 3
const STATIC_BROKER = 4
const DEFAULT = 5
let host: SimBroker
let nameCount = 0
beforeAll(async () => {
  host = await SimBroker.start({ settings: { 'log.retention.ms': '7777' } })
})

async function makeTopic(configs: Record<string, string> = {}): Promise<string> {
  const name = `configs-${++nameCount}`
  await host.createTopic(name, 1, configs)
  return name
}

async function describeOne(
  version: number,
  resourceType: number,
  resourceName: string,
  keys: string[] | null = null,
  options: { includeSynonyms?: boolean; includeDocumentation?: boolean } = {},
) {
  const { includeDocumentation, ...rest } = options
  const body = await host.call('DescribeConfigs', version, {
    resources: [{ resourceType, resourceName, configurationKeys: keys }],
    ...rest,
    ...(version >= 3 && includeDocumentation === true ? { includeDocumentation } : {}),
  })
  expect(body.results[0]).toMatchObject({ resourceType, resourceName })
  return body.results[0]!
}

async function valueOf(topic: string, key: string): Promise<[string | null, number]> {
  const { configs } = await describeOne(apis.DescribeConfigs.versions.last, TOPIC, topic, [key])
  return [configs[0]!.value, configs[0]!.configSource]
}

describe.each(versionsOf('DescribeConfigs'))('DescribeConfigs v%i', (version) => {
  it('tells the value in force of each setting of a topic, and where it comes from', async () => {
    const topic = await makeTopic({ 'cleanup.policy': 'compact' })
    const { errorCode, configs } = await describeOne(version, TOPIC, topic)
    expect(errorCode).toBe(0)
    const find = (name: string) => configs.find((config) => config.name === name)
    expect(find('cleanup.policy')).toMatchObject({
      value: 'compact',
      configSource: DYNAMIC_TOPIC,
      readOnly: false,
    })
    expect(find('retention.ms')).toMatchObject({ value: '7777', configSource: STATIC_BROKER })
    expect(find('segment.bytes')).toMatchObject({ configSource: DEFAULT })
    expect(find('segment.bytes')!.synonyms).toEqual([])
    expect(configs.every(({ configType }) => (version >= 3 ? configType > 0 : configType === 0))).toBe(true)
  })

  it('names only what was asked for, with synonyms and words on request', async () => {
    const topic = await makeTopic({ 'retention.ms': '5' })
    const options = { includeSynonyms: true, includeDocumentation: true }
    const { configs } = await describeOne(version, TOPIC, topic, ['retention.ms', 'nonsense'], options)
    expect(configs).toHaveLength(1)
    expect(configs[0]!.synonyms.map(({ value }) => value)).toEqual(expect.arrayContaining(['5', '7777']))
    if (version >= 3) expect(configs[0]!.documentation).toMatch(/\w{4}/)
  })

  it('tells the settings of this broker, and of none other', async () => {
    const { configs } = await describeOne(version, BROKER, '1', ['node.id', 'log.retention.ms'])
    expect(configs.map(({ name, value, readOnly }) => [name, value, readOnly])).toEqual(
      expect.arrayContaining([['node.id', '1', true]]),
    )
    expect(nameOf((await describeOne(version, BROKER, '2')).errorCode)).toBe('INVALID_REQUEST')
    expect((await describeOne(version, BROKER, '')).errorCode).toBe(0)
  })

  it('tells what it does not know', async () => {
    const missing = await describeOne(version, TOPIC, 'nowhere')
    expect(nameOf(missing.errorCode)).toBe('UNKNOWN_TOPIC_OR_PARTITION')
    expect(missing.errorMessage).toContain('nowhere')
    for (const type of [0, 8, 99, -1])
      expect(nameOf((await describeOne(version, type, 'x')).errorCode)).toBe('INVALID_REQUEST')
    for (const name of ['__proto__', 'constructor'])
      expect(nameOf((await describeOne(version, TOPIC, name)).errorCode)).toBe('UNKNOWN_TOPIC_OR_PARTITION')
  })
})

type Change = readonly [operation: number, name: string, value: string | null]

async function alterIncrementally(
  version: number,
  name: string,
  changes: readonly Change[],
  validateOnly = false,
) {
  const configs = changes.map(([configOperation, key, value]) => ({ name: key, configOperation, value }))
  const resources = [{ resourceType: TOPIC, resourceName: name, configs }]
  const body = await host.call('IncrementalAlterConfigs', version, { resources, validateOnly })
  expect(body.responses[0]).toMatchObject({ resourceType: TOPIC, resourceName: name })
  return body.responses[0]!
}

describe.each(versionsOf('IncrementalAlterConfigs'))('IncrementalAlterConfigs v%i', (version) => {
  it('sets, deletes, appends and subtracts, all in force with the answer', async () => {
    const topic = await makeTopic()
    const alter = async (...changes: Change[]) =>
      nameOf((await alterIncrementally(version, topic, changes)).errorCode)
    expect(await alter([SET, 'retention.ms', '100'], [APPEND, 'cleanup.policy', 'compact'])).toBe('NONE')
    expect(await valueOf(topic, 'retention.ms')).toEqual(['100', DYNAMIC_TOPIC])
    expect(await valueOf(topic, 'cleanup.policy')).toEqual(['delete,compact', DYNAMIC_TOPIC])
    expect(await alter([SUBTRACT, 'cleanup.policy', 'delete'], [DELETE, 'retention.ms', null])).toBe('NONE')
    expect(await valueOf(topic, 'cleanup.policy')).toEqual(['compact', DYNAMIC_TOPIC])
    expect(await valueOf(topic, 'retention.ms')).toEqual(['7777', STATIC_BROKER])
    await alter([SET, 'max.message.bytes', '70'])
    const { responses } = await host.call(
      'Produce',
      9,
      produceRequest({ name: topic }, makeBatch({ key: 'key' })),
    )
    expect(nameOf(responses[0]!.partitionResponses[0]!.errorCode)).toBe('MESSAGE_TOO_LARGE')
  })

  it('refuses the whole of a resource for one bad change, with words, and changes nothing', async () => {
    const topic = await makeTopic()
    const cases: [string, Change][] = [
      ['INVALID_CONFIG', [SET, 'no.such.key', '1']],
      ['INVALID_CONFIG', [SET, '__proto__', '1']],
      ['INVALID_CONFIG', [SET, 'retention.ms', '-5']],
      ['INVALID_CONFIG', [APPEND, 'retention.ms', '5']],
      ['INVALID_REQUEST', [SET, 'segment.ms', null]],
      ['INVALID_REQUEST', [9, 'segment.ms', '5']],
    ]
    for (const [error, change] of cases) {
      const answer = await alterIncrementally(version, topic, [[SET, 'segment.ms', '12345'], change])
      expect(nameOf(answer.errorCode), JSON.stringify(change)).toBe(error)
      expect(answer.errorMessage).toMatch(/\w/)
    }
    expect((await alterIncrementally(version, topic, [[SET, 'segment.ms', '12345']], true)).errorCode).toBe(0)
    expect((await valueOf(topic, 'segment.ms'))[1]).toBe(DEFAULT)
    const missing = await alterIncrementally(version, 'nowhere', [[SET, 'segment.ms', '12345']])
    expect(nameOf(missing.errorCode)).toBe('UNKNOWN_TOPIC_OR_PARTITION')
  })

  it('changes the default of all brokers, and with it every topic that has none of its own', async () => {
    const topic = await makeTopic()
    const change = async (configOperation: number, value: string | null) => {
      const configs = [{ name: 'log.segment.bytes', configOperation, value }]
      const resources = [{ resourceType: BROKER, resourceName: '', configs }]
      const { responses } = await host.call('IncrementalAlterConfigs', version, {
        resources,
        validateOnly: false,
      })
      expect(responses[0]!.errorMessage).toBeNull()
    }
    await change(SET, '2097152')
    expect(await valueOf(topic, 'segment.bytes')).toEqual(['2097152', DEFAULT_BROKER])
    await change(DELETE, null)
    expect((await valueOf(topic, 'segment.bytes'))[1]).toBe(DEFAULT)
  })
})

describe.each(versionsOf('AlterConfigs'))('AlterConfigs v%i', (version) => {
  it('replaces all settings of a topic', async () => {
    const topic = await makeTopic({ 'segment.ms': '99999' })
    const alter = async (name: string, value: string | null, validateOnly = false) => {
      const resources = [{ resourceType: TOPIC, resourceName: topic, configs: [{ name, value }] }]
      const body = await host.call('AlterConfigs', version, { resources, validateOnly })
      return nameOf(body.responses[0]!.errorCode)
    }
    expect(await alter('retention.ms', '1', true)).toBe('NONE')
    expect(await valueOf(topic, 'segment.ms')).toEqual(['99999', DYNAMIC_TOPIC])
    expect(await alter('retention.ms', '1')).toBe('NONE')
    expect(await valueOf(topic, 'retention.ms')).toEqual(['1', DYNAMIC_TOPIC])
    expect((await valueOf(topic, 'segment.ms'))[1]).toBe(DEFAULT)
    expect(await alter('retention.ms', null)).toBe('INVALID_REQUEST')
    expect(await alter('nonsense', '1')).toBe('INVALID_CONFIG')
  })
})

describe.each(versionsOf('ListConfigResources'))('ListConfigResources v%i', (version) => {
  it('lists by kind; version 0 knows only a kind there is none of', async () => {
    const topic = await makeTopic()
    const list = async (resourceTypes: number[]) => {
      const request = version >= 1 ? { resourceTypes } : {}
      const body = await host.call('ListConfigResources', version, request)
      return [nameOf(body.errorCode), body.configResources.map(({ resourceName }) => resourceName)]
    }
    if (version === 0) {
      expect(await list([])).toEqual(['NONE', []])
      return
    }
    expect((await list([TOPIC]))[1]).toContain(topic)
    expect(await list([BROKER])).toEqual(['NONE', ['1']])
    expect((await list([]))[1]).toEqual(expect.arrayContaining([topic, '1']))
    expect(await list([77])).toEqual(['UNSUPPORTED_VERSION', []])
  })
})

describe.each(versionsOf('DescribeLogDirs'))('DescribeLogDirs v%i', (version) => {
  it('tells what each partition takes, and the room that is left', async () => {
    const topic = await makeTopic()
    const batch = makeBatch()
    const { length } = batch
    await host.call('Produce', 9, produceRequest({ name: topic }, batch))
    const list = async (topics: { topic: string; partitions: number[] }[] | null) => {
      const body = await host.call('DescribeLogDirs', version, { topics })
      expect(body.errorCode).toBe(0)
      expect(body.results.map(({ errorCode, logDir }) => [errorCode, logDir])).toEqual([[0, HOME]])
      return body.results[0]!
    }
    const all = await list(null)
    const wanted = [{ partitionIndex: 0, partitionSize: length, offsetLag: 0, isFutureKey: false }]
    expect(all.topics.find(({ name }) => name === topic)!.partitions).toEqual(wanted)
    expect((await list([{ topic, partitions: [0, 5] }])).topics).toEqual([
      { name: topic, partitions: wanted },
    ])
    expect((await list([{ topic: 'nowhere', partitions: [0] }])).topics).toEqual([])
    expect((await list([])).topics).toEqual([])
    if (version >= 4) expect(all.usableBytes).toBeGreaterThan(0)
    else expect([all.totalBytes, all.usableBytes]).toEqual([-1, -1])
  })
})
