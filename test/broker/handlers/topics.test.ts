/** CreateTopics, DeleteTopics, CreatePartitions and DeleteRecords on a whole broker, in every version. */
import { beforeAll, describe, expect, it } from 'vitest'
import { ZERO_UUID } from '../../../src/bytes/uuid.ts'
import { versionsOf } from '../../support/raw-client.ts'
import { baseOffsetsOf, fetchRequest, makeBatch, produceRequest } from '../support/batches.ts'
import { HOME, nameOf, SimBroker } from '../support/sim-broker.ts'

const UNKNOWN_ID = 'bm8tc3VjaC10b3BpYy1pZA'
let host: SimBroker
let nameCount = 0
beforeAll(async () => {
  host = await SimBroker.start({ settings: { 'num.partitions': '2' } })
})
const newName = (): string => `topic-${++nameCount}`

interface Creation {
  readonly name?: string
  readonly numPartitions?: number
  readonly replicationFactor?: number
  readonly assignments?: { partitionIndex: number; brokerIds: number[] }[]
  readonly configs?: { name: string; value: string | null }[]
}

async function create(
  version: number,
  creations: readonly Creation[],
  options: { validateOnly?: boolean } = {},
) {
  const topics = creations.map((creation) => ({
    name: newName(),
    numPartitions: 1,
    replicationFactor: 1,
    assignments: [],
    configs: [],
    ...creation,
  }))
  const body = await host.call('CreateTopics', version, { topics, timeoutMs: 10_000, ...options })
  return body.topics
}

async function partitionCount(name: string): Promise<number> {
  const request = { topics: [{ name }], allowAutoTopicCreation: false }
  const { topics } = await host.call('Metadata', 12, request)
  return topics[0]!.partitions.length
}

async function produce(name: string, partition = 0): Promise<string> {
  const { responses } = await host.call('Produce', 9, produceRequest({ name, partition }, makeBatch()))
  return nameOf(responses[0]!.partitionResponses[0]!.errorCode)
}

describe.each(versionsOf('CreateTopics'))('CreateTopics v%i', (version) => {
  const errorsOf = async (...creations: Creation[]) =>
    (await create(version, creations)).map(({ errorCode }) => nameOf(errorCode))

  it('answers when the topic can be used, with what it was given', async () => {
    const [made] = await create(version, [
      { numPartitions: 3, configs: [{ name: 'retention.ms', value: '5000' }] },
    ])
    expect([nameOf(made!.errorCode), made!.errorMessage]).toEqual(['NONE', null])
    expect(await produce(made!.name, 2)).toBe('NONE')
    expect(made!.topicId === ZERO_UUID).toBe(version < 7)
    expect([made!.numPartitions, made!.replicationFactor]).toEqual(version >= 5 ? [3, 1] : [-1, -1])
    const retention = made!.configs?.find(({ name }) => name === 'retention.ms')
    if (version >= 5) expect(retention).toMatchObject({ value: '5000', configSource: 1, isSensitive: false })
    else expect(made!.configs).toEqual([])
  })

  it('takes -1 for the defaults and a given assignment', async () => {
    const [byDefault, assigned] = await create(version, [
      { numPartitions: -1, replicationFactor: -1 },
      {
        numPartitions: -1,
        replicationFactor: -1,
        assignments: [
          { partitionIndex: 1, brokerIds: [1] },
          { partitionIndex: 0, brokerIds: [1] },
        ],
      },
    ])
    expect(await partitionCount(byDefault!.name)).toBe(2)
    expect(await partitionCount(assigned!.name)).toBe(2)
  })

  it('only looks whether it could, when asked for that', async () => {
    const [made] = await create(version, [{}], { validateOnly: true })
    expect(made).toMatchObject({ errorCode: 0, topicId: ZERO_UUID })
    expect(await partitionCount(made!.name)).toBe(0)
  })

  it('refuses each topic for its own reason, with words', async () => {
    const there = newName()
    await create(version, [{ name: there }])
    const cases: [string, Creation][] = [
      ['TOPIC_ALREADY_EXISTS', { name: there }],
      ['INVALID_TOPIC_EXCEPTION', { name: 'a/b' }],
      ['INVALID_TOPIC_EXCEPTION', { name: '' }],
      ['INVALID_PARTITIONS', { numPartitions: 0 }],
      ['INVALID_PARTITIONS', { numPartitions: -2 }],
      ['INVALID_PARTITIONS', { numPartitions: 2 ** 31 - 1 }],
      ['INVALID_REPLICATION_FACTOR', { replicationFactor: 0 }],
      ['INVALID_REPLICATION_FACTOR', { replicationFactor: 2 }],
      ['INVALID_REPLICATION_FACTOR', { replicationFactor: 2 ** 15 - 1 }],
      ['INVALID_REQUEST', { numPartitions: 1, assignments: [{ partitionIndex: 0, brokerIds: [1] }] }],
      [
        'INVALID_REPLICA_ASSIGNMENT',
        { numPartitions: -1, replicationFactor: -1, assignments: [{ partitionIndex: 0, brokerIds: [99] }] },
      ],
      [
        'INVALID_REPLICA_ASSIGNMENT',
        { numPartitions: -1, replicationFactor: -1, assignments: [{ partitionIndex: 0, brokerIds: [] }] },
      ],
      ['INVALID_CONFIG', { configs: [{ name: 'no.such.key', value: '1' }] }],
      ['INVALID_CONFIG', { configs: [{ name: '__proto__', value: '1' }] }],
      ['INVALID_CONFIG', { configs: [{ name: 'retention.ms', value: 'soon' }] }],
      ['INVALID_CONFIG', { configs: [{ name: 'retention.ms', value: null }] }],
    ]
    const answers = await create(
      version,
      cases.map(([, creation]) => creation),
    )
    expect(answers.map(({ errorCode }) => nameOf(errorCode))).toEqual(cases.map(([error]) => error))
    for (const { errorMessage } of answers) expect(errorMessage).toMatch(/\w/)
  })

  it('refuses a topic that is named twice', async () => {
    const name = newName()
    expect(await errorsOf({ name }, { name })).toEqual(['INVALID_REQUEST'])
  })

  it('X22: creates topics with the names of object properties', async () => {
    const name = `__proto__${version}`
    expect(await errorsOf({ name })).toEqual(['NONE'])
    expect(await produce(name)).toBe('NONE')
  })
})

describe.each(versionsOf('DeleteTopics'))('DeleteTopics v%i', (version) => {
  const remove = async (targets: readonly { name: string | null; topicId?: string }[]) => {
    const request =
      version >= 6
        ? { topics: targets, timeoutMs: 1000 }
        : { topicNames: targets.map(({ name }) => name ?? ''), timeoutMs: 1000 }
    return (await host.call('DeleteTopics', version, request)).responses
  }

  it('answers when the topic is gone', async () => {
    const name = newName()
    const topicId = await host.createTopic(name)
    await produce(name)
    const [answer] = await remove([{ name }])
    expect(answer).toMatchObject({ name, errorCode: 0, topicId: version >= 6 ? topicId : ZERO_UUID })
    expect(await produce(name)).toBe('UNKNOWN_TOPIC_OR_PARTITION')
    await host.createTopic(name)
    const { responses } = await host.call('Fetch', 11, fetchRequest({ name }))
    expect(responses[0]!.partitions[0]).toMatchObject({ errorCode: 0, highWatermark: 0 })
  })

  it('tells what it cannot delete', async () => {
    const [answer] = await remove([{ name: 'nowhere' }])
    expect([answer!.name, nameOf(answer!.errorCode)]).toEqual(['nowhere', 'UNKNOWN_TOPIC_OR_PARTITION'])
    expect(answer!.errorMessage === null).toBe(version < 5)
    const twice = newName()
    await host.createTopic(twice)
    const answers = await remove([{ name: twice }, { name: twice }])
    expect(new Set(answers.map(({ errorCode }) => nameOf(errorCode)))).toEqual(new Set(['INVALID_REQUEST']))
    expect(await produce(twice)).toBe('NONE')
  })

  it('deletes by id from version 6 on', async () => {
    if (version < 6) return
    const name = newName()
    const topicId = await host.createTopic(name)
    const answers = await remove([
      { name: null, topicId },
      { name: null, topicId: UNKNOWN_ID },
      { name: null },
      { name, topicId: 'YW5vdGhlci10b3BpYy1pZA' },
    ])
    expect(answers.map((each) => nameOf(each.errorCode))).toEqual([
      'NONE',
      'UNKNOWN_TOPIC_ID',
      'INVALID_REQUEST',
      'INVALID_REQUEST',
    ])
  })
})

describe('DeleteTopics', () => {
  it('gives the space back after a while', async () => {
    const own = await SimBroker.start({ seed: 'space' })
    await own.createTopic('t', 1, { 'file.delete.delay.ms': '1000' })
    await own.call('Produce', 9, produceRequest({ name: 't' }, makeBatch({ values: ['x'.repeat(10_000)] })))
    await own.call('DeleteTopics', 1, { topicNames: ['t'], timeoutMs: 1000 })
    await own.pass(2000)
    const names = await own.run(own.node.env.files.list(HOME))
    expect(names.filter((name) => name.includes('t-0'))).toEqual([])
  })

  it('refuses where topics may not be deleted', async () => {
    const own = await SimBroker.start({ seed: 'keep', settings: { 'delete.topic.enable': 'false' } })
    await own.createTopic('t')
    for (const version of versionsOf('DeleteTopics', 1, 5)) {
      const { responses } = await own.call('DeleteTopics', version, { topicNames: ['t'], timeoutMs: 1 })
      expect(nameOf(responses[0]!.errorCode)).toBe('TOPIC_DELETION_DISABLED')
    }
  })
})

describe.each(versionsOf('CreatePartitions'))('CreatePartitions v%i', (version) => {
  const grow = async (
    name: string,
    count: number,
    options: { validateOnly?: boolean; assignments?: { brokerIds: number[] }[] } = {},
  ) => {
    const { validateOnly = false, assignments = null } = options
    const body = await host.call('CreatePartitions', version, {
      topics: [{ name, count, assignments }],
      timeoutMs: 1000,
      validateOnly,
    })
    expect(body.results.map((result) => result.name)).toEqual([name])
    return nameOf(body.results[0]!.errorCode)
  }

  it('answers when the new partitions can be used; the old ones keep what they have', async () => {
    const name = newName()
    await host.createTopic(name, 2)
    await produce(name, 1)
    expect(await grow(name, 3, { validateOnly: true })).toBe('NONE')
    expect(await partitionCount(name)).toBe(2)
    expect(await grow(name, 4)).toBe('NONE')
    expect(await produce(name, 3)).toBe('NONE')
    expect(await grow(name, 5, { assignments: [{ brokerIds: [1] }] })).toBe('NONE')
    const { responses } = await host.call('Fetch', 11, fetchRequest({ name }, { partition: 1 }))
    expect(responses[0]!.partitions[0]!.highWatermark).toBe(1)
  })

  it('refuses what makes no sense', async () => {
    const name = newName()
    await host.createTopic(name, 2)
    expect(await grow(name, 2)).toBe('INVALID_PARTITIONS')
    expect(await grow(name, 1)).toBe('INVALID_PARTITIONS')
    expect(await grow(name, -1)).toBe('INVALID_PARTITIONS')
    expect(await grow(name, 2 ** 31 - 1)).toBe('INVALID_PARTITIONS')
    expect(await grow('nowhere', 2)).toBe('UNKNOWN_TOPIC_OR_PARTITION')
    expect(await grow(name, 3, { assignments: [] })).toBe('INVALID_REPLICA_ASSIGNMENT')
    expect(await grow(name, 3, { assignments: [{ brokerIds: [5] }] })).toBe('INVALID_REPLICA_ASSIGNMENT')
  })
})

describe.each(versionsOf('DeleteRecords'))('DeleteRecords v%i', (version) => {
  const remove = async (name: string, offset: number, partitionIndex = 0) => {
    const body = await host.call('DeleteRecords', version, {
      topics: [{ name, partitions: [{ partitionIndex, offset }] }],
      timeoutMs: 1000,
    })
    const answer = body.topics[0]!.partitions[0]!
    return [nameOf(answer.errorCode), answer.lowWatermark]
  }

  it('moves the log start; -1 is the high watermark; it never goes back', async () => {
    const name = newName()
    await host.createTopic(name)
    for (let index = 0; index < 5; index++) await produce(name)
    expect(await remove(name, 2)).toEqual(['NONE', 2])
    expect(await remove(name, 1)).toEqual(['NONE', 2])
    const at = async (offset: number) => {
      const { responses } = await host.call('Fetch', 11, fetchRequest({ name }, { offset }))
      return responses[0]!.partitions[0]!
    }
    expect(nameOf((await at(1)).errorCode)).toBe('OFFSET_OUT_OF_RANGE')
    expect(baseOffsetsOf((await at(2)).records)).toEqual([2, 3, 4])
    expect(await remove(name, 6)).toEqual(['OFFSET_OUT_OF_RANGE', -1])
    expect(await remove(name, -2)).toEqual(['OFFSET_OUT_OF_RANGE', -1])
    expect(await remove(name, -1)).toEqual(['NONE', 5])
    expect(await remove(name, 5, 3)).toEqual(['UNKNOWN_TOPIC_OR_PARTITION', -1])
    expect(await produce(name)).toBe('NONE')
    expect(baseOffsetsOf((await at(5)).records)).toEqual([5])
  })
})

describe.each(versionsOf('InitProducerId'))('InitProducerId v%i', (version) => {
  it('P4: gives an id that nobody had, in this life and the next', async () => {
    const ids = new Set<number>()
    const own = await SimBroker.start({ seed: `ids-${version}` })
    for (const ending of ['close', 'crash', 'power cut'] as const) {
      for (let index = 0; index < 3; index++) {
        const body = await own.call('InitProducerId', version, {
          transactionalId: null,
          transactionTimeoutMs: 1000,
        })
        expect([body.errorCode, body.producerEpoch]).toEqual([0, 0])
        ids.add(body.producerId)
      }
      await own.restart(ending)
    }
    expect(ids.size).toBe(9)
  })

  it('refuses a transactional id in a way that clients report for what it is', async () => {
    const body = await host.call('InitProducerId', version, {
      transactionalId: 'tx',
      transactionTimeoutMs: 1000,
    })
    expect([nameOf(body.errorCode), body.producerId, body.producerEpoch]).toEqual([
      'UNSUPPORTED_VERSION',
      -1,
      -1,
    ])
  })

  it('KIP-360: gives a fresh id to one that wants its epoch raised', async () => {
    if (version < 3) return
    const request = { transactionalId: null, transactionTimeoutMs: 1000, producerId: 5, producerEpoch: 32766 }
    const body = await host.call('InitProducerId', version, request)
    expect([body.errorCode, body.producerEpoch]).toEqual([0, 0])
    expect(body.producerId).not.toBe(5)
  })
})
