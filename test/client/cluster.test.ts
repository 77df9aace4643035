import { describe, expect, it } from 'vitest'
import manifest from '../../package.json' with { type: 'json' }
import { apiList } from '../../src/protocol/apis.ts'
import { metadata, produced, ScriptedBroker } from './scripted-broker.ts'
import type { Rules } from './scripted-broker.ts'

const ranges = (last: (key: number, known: number) => number) =>
  apiList.map(({ key, versions }) => ({
    apiKey: key,
    minVersion: versions.first,
    maxVersion: last(key, versions.last),
  }))

async function start(rules: Rules = {}) {
  const broker = new ScriptedBroker(rules)
  await broker.listen()
  return broker
}

describe('Client', () => {
  it('says which brokers it could not reach, and why', async () => {
    const broker = await start()
    const client = broker.client({ bootstrap: 'in-process://a,in-process://b', bootstrapTimeoutMs: 0 })
    await expect(broker.settled(client.connect())).rejects.toMatchObject({
      code: 'CLIENT_CANNOT_CONNECT',
      retriable: true,
      message: 'Cannot reach any of in-process://a, in-process://b: nothing listens under that name',
    })
  })

  it('tries the bootstrap list in turn, and again until bootstrapTimeoutMs is over', async () => {
    const broker = new ScriptedBroker()
    const client = broker.client({
      bootstrap: 'in-process://nobody,in-process://scripted',
      bootstrapTimeoutMs: 5_000,
    })
    const connected = client.connect()
    await broker.pass(2_000)
    await broker.listen()
    await broker.settled(connected, 3_000)
  })

  it('steps down to the ApiVersions that the broker names, else to 0', async () => {
    for (const offered of [2, null]) {
      const broker = await start({
        ApiVersions: (_request, { version }) => {
          if (version === (offered ?? 0)) return { errorCode: 0, apiKeys: ranges((_key, known) => known) }
          const apiKeys = offered === null ? [] : [{ apiKey: 18, minVersion: 0, maxVersion: offered }]
          return { errorCode: 35, apiKeys }
        },
      })
      await broker.settled(broker.client().connect())
      const versions = broker.requests
        .filter(({ api }) => api === 'ApiVersions')
        .map(({ version }) => version)
      expect(versions).toEqual([4, offered ?? 0])
    }
  })

  it('uses the highest version that both sides have, and names only where there are no ids', async () => {
    const broker = await start({
      ApiVersions: () => ({ errorCode: 0, apiKeys: ranges((key, known) => (key === 3 ? 9 : known)) }),
      Produce: (request) => produced(request),
    })
    await broker.settled(broker.client().producer().send({ topic: 't', value: 'a' }))
    const versionOf = (name: string) => broker.requests.find(({ api }) => api === name)!.version
    expect(versionOf('Metadata')).toBe(9)
    expect(versionOf('Produce')).toBe(12)
    expect(broker.requestsOf('Produce')[0]!.topicData[0]!.name).toBe('t')
  })

  it('presents itself with the version of the package (KIP-511)', async () => {
    const broker = await start()
    await broker.settled(broker.client().connect())
    const { clientSoftwareName, clientSoftwareVersion } = broker.requestsOf('ApiVersions')[0]!
    expect([clientSoftwareName, clientSoftwareVersion]).toEqual([manifest.name, manifest.version])
  })

  it('says what the broker lacks', async () => {
    const broker = await start({
      ApiVersions: () => ({
        errorCode: 0,
        apiKeys: ranges((_key, known) => known).filter(({ apiKey }) => apiKey !== 22),
      }),
    })
    const send = broker.client().producer().send({ topic: 't', value: 'a' })
    await expect(broker.settled(send)).rejects.toMatchObject({
      code: 'CLIENT_UNSUPPORTED_BY_BROKER',
      message: expect.stringContaining('it serves versions none') as string,
    })
  })

  it('believes no metadata that is older than what it has', async () => {
    let epoch = 5
    const broker = await start({
      Metadata: (request) => {
        const answer = metadata(request, 1)
        const topics = answer.topics.map((topic) => ({
          ...topic,
          partitions: topic.partitions.map((one) => ({
            ...one,
            leaderEpoch: epoch,
            leaderId: epoch === 5 ? 1 : 2,
          })),
        }))
        return { ...answer, topics }
      },
      Produce: (request, { index }) => {
        epoch = 4 // from now on a broker answers that lags behind, and names a leader that does not exist
        return produced(request, index === 0 ? 'NOT_LEADER_OR_FOLLOWER' : 'NONE')
      },
    })
    const producer = broker.client().producer()
    const send = producer.send({ topic: 't', value: 'a' })
    await broker.settled(send, 10_000)
    expect(broker.requestsOf('Produce')).toHaveLength(2)
  })

  it('honours a throttle before it sends more (KIP-219)', async () => {
    const broker = await start({
      Produce: (request, { index }) => ({ ...produced(request), throttleTimeMs: index === 0 ? 700 : 0 }),
    })
    const producer = broker.client().producer()
    await broker.settled(producer.send({ topic: 't', value: 'a' }))
    const throttledAtMs = broker.simulation.nowMs
    await broker.settled(producer.send({ topic: 't', value: 'b' }))
    expect(broker.simulation.nowMs - throttledAtMs).toBeGreaterThanOrEqual(690)
  })

  it('close fails what waits, and leaves no timer behind', async () => {
    const broker = await start({ Metadata: () => 'silence' })
    const client = broker.client()
    const failed = expect(client.connect()).rejects.toMatchObject({ code: 'CLIENT_CLOSED' })
    await broker.pass(100)
    await broker.settled(client.close())
    await failed
    await expect(broker.settled(client.connect())).rejects.toMatchObject({ code: 'CLIENT_CLOSED' })
  })
})

describe('Admin', () => {
  it('names every item that failed, with the protocol’s code, when others were done', async () => {
    const broker = await start({
      CreateTopics: (request) => ({
        topics: request.topics.map(({ name }) => ({
          name,
          errorCode: name === 'a' ? 0 : 36,
          errorMessage: name === 'a' ? null : `Topic '${name}' is there`,
        })),
      }),
    })
    const created = broker
      .client()
      .admin()
      .createTopics([{ name: 'a' }, { name: 'b' }, { name: 'c' }])
    const error: unknown = await broker.settled(created).catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({ code: 'TOPIC_ALREADY_EXISTS', retriable: false })
    expect((error as { failures: { item: string }[] }).failures.map(({ item }) => item)).toEqual(['b', 'c'])
    expect((error as Error).message).toContain("Topic 'b' is there")
  })

  it('finds the controller again when it has moved', async () => {
    const broker = await start({
      CreateTopics: (request, { index }) => ({
        topics: request.topics.map(({ name }) => ({
          name,
          errorCode: index < 2 ? 41 : 0,
          errorMessage: null,
          numPartitions: 3,
        })),
      }),
    })
    const created = await broker.settled(
      broker
        .client()
        .admin()
        .createTopics([{ name: 'a', partitions: 3 }]),
    )
    expect(created).toEqual([{ name: 'a', topicId: null, partitions: 3, replicationFactor: null }])
    expect(broker.requestsOf('CreateTopics')).toHaveLength(3)
  })
})
