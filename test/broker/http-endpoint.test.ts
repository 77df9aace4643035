import { describe, expect, it } from 'vitest'
import { answerHttp } from '../../src/broker/http-endpoint.ts'
import { makeBatch, produceRequest } from './support/batches.ts'
import { SimBroker } from './support/sim-broker.ts'

const get = (path: string, reasons: readonly string[] = [], method = 'GET') =>
  answerHttp({ method, path, headers: new Map() }, { unreadiness: () => reasons, metrics: () => 'some 1\n' })

describe('The HTTP side of a listener', () => {
  it('says that the process works, whatever else is wrong', () => {
    expect(get('/healthz', ['Something'])).toMatchObject({ status: 200, body: 'ok\n' })
  })

  it('is ready, or says why not, a line each', () => {
    expect(get('/readyz')).toMatchObject({ status: 200, body: 'ready\n' })
    expect(get('/readyz', ['One', 'Two'])).toMatchObject({ status: 503, body: 'One\nTwo\n' })
  })

  it('gives metrics in the format that Prometheus asks for', () => {
    const { status, headers, body } = get('/metrics')
    expect([status, headers['content-type'], body]).toEqual([
      200,
      'text/plain; version=0.0.4; charset=utf-8',
      'some 1\n',
    ])
  })

  it('tells a lost visitor where to go, and lets nobody write', () => {
    for (const path of ['/', '/metrics/', '//healthz', '/__proto__', '/..'])
      expect(get(path).status).toBe(404)
    for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS', ''])
      expect(get('/healthz', [], method).status).toBe(405)
    expect(get('/healthz', [], 'HEAD').status).toBe(200)
  })
})

/** Samples by name and labels. */
function samplesOf(text: string): Map<string, number> {
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'))
  return new Map(
    lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ')))]),
  )
}

describe('The metrics', () => {
  it('carry the names and labels of kafka_exporter, with what is so', async () => {
    const host = await SimBroker.start({ seed: 'metrics' })
    await host.createTopic('orders', 2)
    for (let index = 0; index < 3; index++)
      await host.call('Produce', 9, produceRequest({ name: 'orders', partition: 1 }, makeBatch()))
    await host.call('DeleteRecords', 2, {
      topics: [{ name: 'orders', partitions: [{ partitionIndex: 1, offset: 1 }] }],
      timeoutMs: 1000,
    })
    const samples = samplesOf(host.broker.metrics())
    const of = (name: string, partition: number) =>
      samples.get(`${name}{partition="${partition}",topic="orders"}`)
    expect(samples.get('kafka_brokers')).toBe(1)
    expect(samples.get('kafka_topic_partitions{topic="orders"}')).toBe(2)
    expect(of('kafka_topic_partition_current_offset', 1)).toBe(3)
    expect(of('kafka_topic_partition_current_offset', 0)).toBe(0)
    expect(of('kafka_topic_partition_oldest_offset', 1)).toBe(1)
    expect(of('kafka_topic_partition_leader', 0)).toBe(1)
    expect(of('kafka_topic_partition_leader_is_preferred', 0)).toBe(1)
    expect(of('kafka_topic_partition_replicas', 0)).toBe(1)
    expect(of('kafka_topic_partition_in_sync_replica', 0)).toBe(1)
    expect(of('kafka_topic_partition_under_replicated_partition', 0)).toBe(0)
    expect(samples.get('millrace_connections')).toBe(1)
    expect(samples.get('millrace_requests_total')).toBe(5)
    expect(samples.get('millrace_request_failures_total')).toBe(0)
    expect(samples.get('millrace_produced_bytes_total')).toBe(3 * makeBatch().length)
  })

  it('say of every family what it is, once', async () => {
    const host = await SimBroker.start({ seed: 'families' })
    await host.createTopic('t', 3)
    const text = host.broker.metrics()
    const names = [...text.matchAll(/^# TYPE (\S+) (gauge|counter)$/gm)].map(([, name]) => name)
    expect(new Set(names).size).toBe(names.length)
    for (const line of text.trim().split('\n')) {
      expect(line).toMatch(/^(# (HELP|TYPE) [a-z_]+ .+|[a-z_]+(\{([a-z]+="[^"]*",?)+\})? -?\d+)$/)
    }
  })

  it('leave out the offsets of a partition that is offline, and the topic when it is deleted', async () => {
    const host = await SimBroker.start({ seed: 'offline' })
    const { disk } = host.node
    const volume = disk.freeBytes
    disk.onOperation = (_number, _kind, path) => {
      disk.freeBytes = path.includes('/t-0') ? 0 : volume
    }
    await host.createTopic('t', 2)
    disk.onOperation = () => undefined
    disk.freeBytes = volume
    const name = 'kafka_topic_partition_current_offset'
    const samples = samplesOf(host.broker.metrics())
    expect([
      samples.has(`${name}{partition="0",topic="t"}`),
      samples.has(`${name}{partition="1",topic="t"}`),
    ]).toEqual([false, true])
    await host.call('DeleteTopics', 1, { topicNames: ['t'], timeoutMs: 1000 })
    expect(host.broker.metrics()).not.toContain('topic="t"')
  })
})
