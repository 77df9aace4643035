/** IncrementalAlterConfigs and AlterConfigs as the controller decides them. */
import { describe, expect, it } from 'vitest'
import { BROKER_RESOURCE, configsOf, TOPIC_RESOURCE } from '../../src/metadata/cluster-image.ts'
import { create, nameOf, startController, topicRequest } from './support.ts'
import type { TestController } from './support.ts'

const SET = 0
const DELETE = 1
const APPEND = 2
const SUBTRACT = 3

type Change = [name: string, operation: number, value: string | null]

async function alter(
  { controller }: TestController,
  resourceType: number,
  resourceName: string,
  changes: Change[],
  validateOnly = false,
) {
  const configs = changes.map(([name, configOperation, value]) => ({ name, configOperation, value }))
  const { responses } = await controller.incrementalAlterConfigs({
    resources: [{ resourceType, resourceName, configs }],
    validateOnly,
  })
  return [nameOf(responses[0]!.errorCode), responses[0]!.errorMessage] as const
}

async function startWithTopic(): Promise<TestController> {
  const test = await startController({ staticEntries: { 'log.cleanup.policy': 'compact' } })
  await create(test.controller, [
    topicRequest('t', { configs: { 'retention.ms': '1', 'segment.bytes': '2048' } }),
  ])
  return test
}

const configsOfTopic = ({ controller }: TestController) =>
  Object.fromEntries(configsOf(controller.image, { type: TOPIC_RESOURCE, name: 't' }))

describe('IncrementalAlterConfigs', () => {
  it('sets and deletes the keys it names and leaves the others', async () => {
    const test = await startWithTopic()
    expect(
      await alter(test, TOPIC_RESOURCE, 't', [
        ['retention.ms', DELETE, null],
        ['durability', SET, 'os'],
      ]),
    ).toEqual(['NONE', null])
    expect(configsOfTopic(test)).toEqual({ 'segment.bytes': '2048', durability: 'os' })
  })

  it('appends to and subtracts from the list that is in force', async () => {
    const test = await startWithTopic()
    await alter(test, TOPIC_RESOURCE, 't', [['cleanup.policy', APPEND, 'delete']])
    expect(configsOfTopic(test)['cleanup.policy']).toBe('compact,delete')
    await alter(test, TOPIC_RESOURCE, 't', [['cleanup.policy', SUBTRACT, 'compact']])
    expect(configsOfTopic(test)['cleanup.policy']).toBe('delete')
    expect((await alter(test, TOPIC_RESOURCE, 't', [['cleanup.policy', SUBTRACT, 'delete']]))[0]).toBe(
      'INVALID_CONFIG',
    )
    expect((await alter(test, TOPIC_RESOURCE, 't', [['retention.ms', APPEND, '1']]))[0]).toBe(
      'INVALID_CONFIG',
    )
  })

  it('writes nothing when nothing changes, or when it only validates', async () => {
    const test = await startWithTopic()
    const before = test.controller.image
    expect((await alter(test, TOPIC_RESOURCE, 't', [['retention.ms', SET, '1']]))[0]).toBe('NONE')
    expect((await alter(test, TOPIC_RESOURCE, 't', [['retention.ms', SET, '2']], true))[0]).toBe('NONE')
    expect((await alter(test, TOPIC_RESOURCE, 't', [['retention.ms', SET, 'x']], true))[0]).toBe(
      'INVALID_CONFIG',
    )
    expect(test.controller.image).toBe(before)
  })

  it.each<[string, number, string, Change[], string]>([
    ['a missing topic', TOPIC_RESOURCE, 'nope', [['retention.ms', SET, '1']], 'UNKNOWN_TOPIC_OR_PARTITION'],
    [
      'X22: a topic __proto__ that is missing',
      TOPIC_RESOURCE,
      '__proto__',
      [['retention.ms', SET, '1']],
      'UNKNOWN_TOPIC_OR_PARTITION',
    ],
    ['X10: an unknown key', TOPIC_RESOURCE, 't', [['metric.reporters', SET, 'x.Y']], 'INVALID_CONFIG'],
    ['deletion of an unknown key', TOPIC_RESOURCE, 't', [['no.such', DELETE, null]], 'INVALID_CONFIG'],
    ['a value that is none', TOPIC_RESOURCE, 't', [['retention.ms', SET, null]], 'INVALID_REQUEST'],
    [
      'a key given twice',
      TOPIC_RESOURCE,
      't',
      [
        ['retention.ms', SET, '1'],
        ['retention.ms', DELETE, null],
      ],
      'INVALID_REQUEST',
    ],
    ['an unknown operation', TOPIC_RESOURCE, 't', [['retention.ms', 9, '1']], 'INVALID_REQUEST'],
    [
      'a good and a bad key: none is set',
      TOPIC_RESOURCE,
      't',
      [
        ['retention.bytes', SET, '5'],
        ['retention.ms', SET, 'x'],
      ],
      'INVALID_CONFIG',
    ],
    ['a missing broker', BROKER_RESOURCE, '9', [['log.retention.ms', SET, '1']], 'INVALID_REQUEST'],
    [
      'a broker that is no number',
      BROKER_RESOURCE,
      '1e0',
      [['log.retention.ms', SET, '1']],
      'INVALID_REQUEST',
    ],
    ['a read-only key', BROKER_RESOURCE, '1', [['num.partitions', SET, '2']], 'INVALID_REQUEST'],
    ['loggers', 8, '1', [['root', SET, 'DEBUG']], 'INVALID_REQUEST'],
  ])('refuses %s and changes nothing', async (_what, type, name, changes, error) => {
    const test = await startWithTopic()
    const before = test.controller.image
    const [found, message] = await alter(test, type, name, changes)
    expect(found).toBe(error)
    expect(message).toMatch(/^\S.*[^.]$/)
    expect(test.controller.image).toBe(before)
  })

  it('sets defaults of topics for one broker and for all', async () => {
    const test = await startWithTopic()
    expect((await alter(test, BROKER_RESOURCE, '', [['log.retention.ms', SET, '5']]))[0]).toBe('NONE')
    expect((await alter(test, BROKER_RESOURCE, '01', [['log.retention.ms', SET, '6']]))[0]).toBe('NONE')
    expect([...configsOf(test.controller.image, { type: BROKER_RESOURCE, name: '1' })]).toEqual([
      ['log.retention.ms', '6'],
    ])
    expect([...configsOf(test.controller.image, { type: BROKER_RESOURCE, name: '' })]).toEqual([
      ['min.insync.replicas', '1'],
      ['log.retention.ms', '5'],
    ])
  })

  it('R2: one min.insync.replicas is for all brokers, and it can be changed but not removed', async () => {
    const test = await startWithTopic()
    const { controller } = test
    const ask = async (name: string, operation: number, value: string | null) =>
      (await alter(test, BROKER_RESOURCE, name, [['min.insync.replicas', operation, value]]))[0]
    expect(await ask('1', SET, '2')).toBe('INVALID_CONFIG')
    expect(await ask('', DELETE, null)).toBe('INVALID_CONFIG')
    const emptied = await controller.alterConfigs({
      resources: [{ resourceType: BROKER_RESOURCE, resourceName: '', configs: [] }],
      validateOnly: false,
    })
    expect(nameOf(emptied.responses[0]!.errorCode)).toBe('INVALID_CONFIG')
    expect(await ask('', SET, '2')).toBe('NONE')
    expect(configsOf(controller.image, { type: BROKER_RESOURCE, name: '' }).get('min.insync.replicas')).toBe(
      '2',
    )
  })

  it('a topic’s own min.insync.replicas cannot be above its number of replicas', async () => {
    const test = await startWithTopic()
    const [error, message] = await alter(test, TOPIC_RESOURCE, 't', [['min.insync.replicas', SET, '2']])
    expect(error).toBe('INVALID_CONFIG')
    expect(message).toMatch(/has 1 replicas/)
    const topic = topicRequest('u', { configs: { 'min.insync.replicas': '2' } })
    expect(await create(test.controller, [topic])).toEqual({ u: 'INVALID_CONFIG' })
  })

  it('refuses a resource named twice and takes the others', async () => {
    const test = await startWithTopic()
    const configs = [{ name: 'retention.ms', configOperation: SET, value: '9' }]
    const t = { resourceType: TOPIC_RESOURCE, resourceName: 't', configs }
    const { responses } = await test.controller.incrementalAlterConfigs({
      resources: [t, t, { resourceType: BROKER_RESOURCE, resourceName: '', configs: [] }],
      validateOnly: false,
    })
    expect(responses.map(({ errorCode }) => nameOf(errorCode))).toEqual([
      'INVALID_REQUEST',
      'INVALID_REQUEST',
      'NONE',
    ])
  })
})

describe('AlterConfigs', () => {
  it('replaces all settings of a resource', async () => {
    const test = await startWithTopic()
    const { responses } = await test.controller.alterConfigs({
      resources: [
        {
          resourceType: TOPIC_RESOURCE,
          resourceName: 't',
          configs: [
            { name: 'segment.bytes', value: '4096' },
            { name: 'durability', value: 'memory' },
          ],
        },
      ],
      validateOnly: false,
    })
    expect(nameOf(responses[0]!.errorCode)).toBe('NONE')
    expect(configsOfTopic(test)).toEqual({ 'segment.bytes': '4096', durability: 'memory' })
  })
})
