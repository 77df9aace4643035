/**
 * What every client is asked to do, described once: a test for each capability, against a cluster of three brokers of its
 * own. How each ends becomes a cell of docs/compatibility.md (matrix.ts).
 */
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { Client } from '../../../src/index.ts'
import { ClusterProcesses } from '../../support/cluster-processes.ts'
import { inSync } from '../../support/every-broker.ts'
import { storedBatches, storedCodecs } from '../../support/stored-batches.ts'
import { temporaryDirectory } from '../../support/temp-directory.ts'
import type { Capability } from './capability-names.ts'
import { CODECS } from './driver.ts'
import type { Driver, ReadRecord, SentRecord, Settings } from './driver.ts'
import { waitFor } from './local-driver.ts'

export interface CompatClient {
  /** As the table has it: the library, and how it is used if there are several ways. */
  readonly name: string
  /** Why it cannot be run here; null when it can. */
  readonly missing: string | null
  /** What it cannot do by its own design, with the reason. */
  readonly cannot?: Partial<Record<Capability, string>>
  readonly protocol?: Settings['protocol']
  open(settings: Settings): Driver
}

declare module 'vitest' {
  interface TaskMeta {
    compat?: {
      readonly client: string
      readonly capability: Capability
      /** Why it was not run; null when it was. */
      readonly notRun: string | null
      version?: string
    }
  }
}

const PARTITIONS = 4
const BROKERS = 3
/** Longest wait for something that takes some heartbeats, in ms: the machine may be busy. */
const WAIT_MS = 30_000
/** Two heartbeats and more, in ms: whoever wants another round of the group has asked for it by then. */
const SETTLED_MS = 1200
/** A client that does not end is left to itself after this many ms; its process goes with the test's. */
const END_MS_MAX = 15_000
/** Records that a failure names. */
const NAMED_MAX = 5
/** One look at what a consumer got, in ms. */
const LOOK_MS = 500

const BROKER_SETTINGS = {
  'group.initial.rebalance.delay.ms': '0',
  'group.consumer.heartbeat.interval.ms': '500',
  'offsets.topic.num.partitions': '3',
}

/** Set by `npm run compat`: a matrix takes minutes, and `npm test` has tests of its own for clients of others. */
const isAsked = process.env['COMPATIBILITY'] !== undefined

export function testClient(client: CompatClient): void {
  const missing = isAsked ? client.missing : 'npm run compat runs it'
  const title = missing === null ? client.name : `${client.name} [${missing}]`

  describe(title, { timeout: 90_000 }, () => {
    let cluster: ClusterProcesses
    let ours: Client
    let directory = ''
    const open: Driver[] = []
    let topicCount = 0

    beforeAll(async () => {
      if (missing !== null) return
      directory = temporaryDirectory('compat')
      cluster = await ClusterProcesses.start({ directory, settings: BROKER_SETTINGS })
      ours = new Client({ bootstrap: [...cluster.bootstrap] })
    })
    afterAll(async () => {
      if (missing !== null) return
      await ours.close()
      await cluster.kill()
    })
    afterEach(async (context) => {
      const ended = open.splice(0)
      await Promise.all(ended.map((driver) => Promise.race([driver.end(), pause(END_MS_MAX)])))
      if (context.task.result?.state !== 'fail') return
      for (const { log } of ended) if (log.length > 0) console.error(log.slice(-40).join('\n'))
      console.error(cluster.complaints.slice(-40).join('\n'))
    })

    function capability(
      name: Capability,
      run: (tellVersion: (version: string) => void) => Promise<void>,
    ): void {
      const notRun = missing ?? client.cannot?.[name] ?? null
      const compat = { client: client.name, capability: name, notRun }
      const title = notRun === null || notRun === missing ? name : `${name} [${notRun}]`
      it.skipIf(notRun !== null)(title, { meta: { compat } }, async ({ task }) => {
        await run((version) => (task.meta.compat = { ...compat, version }))
      })
    }

    /** A driver with the client, ended after the test. */
    function openDriver(): Driver {
      const driver = client.open({
        bootstrap: cluster.bootstrap,
        protocol: client.protocol ?? 'classic',
      })
      open.push(driver)
      return driver
    }

    async function createTopic(partitions = PARTITIONS): Promise<string> {
      const topic = `topic-${++topicCount}`
      await ours.admin().createTopics([{ name: topic, partitions, replicationFactor: BROKERS }])
      return topic
    }

    /** Writes values with our own client, spread over the partitions in turn. */
    async function write(topic: string, values: readonly string[], partitions = PARTITIONS): Promise<void> {
      await using producer = ours.producer()
      await producer.sendAll(values.map((value, index) => ({ topic, partition: index % partitions, value })))
    }

    /** What lies in a topic, by our own client. */
    async function readAll(topic: string): Promise<ReadRecord[]> {
      await using consumer = ours.consumer({ topics: [topic], from: 'beginning', untilEnd: true })
      const records: ReadRecord[] = []
      for await (const { partition, offset, value } of consumer)
        records.push({ partition, offset, value: Buffer.from(value as Uint8Array).toString() })
      return records.sort((a, b) => a.partition - b.partition || a.offset - b.offset)
    }

    capability('connect', async (tellVersion) => {
      const { version, brokers } = await openDriver().do('connect', {})

      tellVersion(version)
      expect([...brokers].sort()).toEqual([1, 2, 3])
    })

    capability('admin', async () => {
      const driver = openDriver()
      const topic = `topic-${++topicCount}`
      expect(await driver.do('describe_topic', { topic })).toBeNull()

      await driver.do('create_topic', { topic, partitions: 5, replicas: BROKERS })
      expect(await driver.do('describe_topic', { topic })).toBe(5)
      const [described] = await ours.admin().describeTopics([topic])
      expect(described!.partitions.map(({ replicas }) => replicas.length)).toEqual([3, 3, 3, 3, 3])

      await driver.do('delete_topic', { topic })
      expect(await driver.do('describe_topic', { topic })).toBeNull()
    })

    for (const codec of CODECS) {
      capability(`produce: ${codec}`, async () => {
        const driver = openDriver()
        const topic = await createTopic(2)
        // Each long enough to become smaller: librdkafka sends a batch of one short record as it is.
        const values = valuesOf(300).map((value) => value + 'abc'.repeat(100))
        const records = values.map((value) => ({ partition: 1, value }))

        const offsets = await driver.do('produce', { topic, codec, idempotent: false, records })

        const wanted = values.map((value, offset) => ({ partition: 1, offset, value }))
        expect(offsets).toEqual(values.map((_, offset) => (offsets[0] === -1 ? -1 : offset)))
        expect(await readAll(topic)).toEqual(wanted)
        expect(await driver.do('read', { topic, partition: 1, from: { offset: 0 }, count: 300 })).toEqual(
          wanted,
        )
        expect(await storedCodecs(dataOf(1), topic, 1)).toEqual([codec])
      })
    }

    capability('idempotence', async () => {
      const driver = openDriver()
      const topic = await createTopic(1)
      const values = valuesOf(30)

      for (const value of values) {
        const records = [{ partition: 0, value }]
        await driver.do('produce', { topic, codec: 'none', idempotent: true, records })
      }

      expect((await readAll(topic)).map(({ value }) => value)).toEqual(values)
      for (const { header } of await storedBatches(dataOf(1), topic))
        expect([header.producerId >= 0, header.baseSequence >= 0]).toEqual([true, true])
    })

    capability('assignment', async () => {
      const driver = openDriver()
      const topic = await createTopic()
      await write(topic, valuesOf(400))
      const wanted = (await readAll(topic)).filter(({ partition }) => partition === 2)

      const all = await driver.do('read', { topic, partition: 2, from: { offset: 0 }, count: 100 })
      const later = await driver.do('read', { topic, partition: 2, from: { offset: 90 }, count: 10 })

      expect(all).toEqual(wanted)
      expect(later).toEqual(wanted.slice(90))
    })

    capability('seek by time', async () => {
      const driver = openDriver()
      const topic = await createTopic(1)
      await using producer = ours.producer()
      const timeOf = (index: number): number => 1_700_000_000_000 + index * 1000
      // Batches of two: a time within a batch must be found, too.
      for (let index = 0; index < 10; index += 2) {
        const pair = [index, index + 1]
        await producer.sendAll(pair.map((at) => ({ topic, value: `v${at}`, timestamp: timeOf(at) })))
      }

      const read = (time: number, count: number) =>
        driver.do('read', { topic, partition: 0, from: { time }, count })
      const exact = await read(timeOf(5), 5)
      const between = await read(timeOf(4) + 1, 2)

      expect(exact.map(({ value }) => value)).toEqual(['v5', 'v6', 'v7', 'v8', 'v9'])
      expect(between.map(({ value }) => value)).toEqual(['v5', 'v6'])
    })

    capability('group and rebalance', async () => {
      const [first, second] = [openDriver(), openDriver()]
      const topic = await createTopic()
      const group = `group-of-${topic}`
      const firstValues = valuesOf(40, 'first')
      const secondValues = valuesOf(40, 'second')

      // One member owns all; a second one joins, and they share.
      await first.do('join', { group, topic })
      const alone = await first.do('owned', { count: PARTITIONS, ms: WAIT_MS })
      await second.do('join', { group, topic })
      const shares = await settled(first, second)
      // A client may fall back to the other protocol and say nothing.
      const listed = (await ours.admin().listGroups()).find(({ groupId }) => groupId === group)
      expect(listed?.kind).toBe(client.protocol ?? 'classic')
      await write(topic, firstValues)
      const [byFirst, bySecond] = await Promise.all([
        first.do('take', { count: 20, ms: WAIT_MS }),
        second.do('take', { count: 20, ms: WAIT_MS }),
      ])
      await Promise.all([first.do('commit', {}), second.do('commit', {})])

      // The second one leaves, and the first has all again, from where the second stopped.
      await second.do('leave', {})
      const again = await first.do('owned', { count: PARTITIONS, ms: WAIT_MS })
      await write(topic, secondValues)
      const byFirstAgain = await first.do('take', { count: 40, ms: WAIT_MS })
      await first.do('leave', {})

      expect(sorted(alone)).toEqual([0, 1, 2, 3])
      expect(sorted(shares)).toEqual([0, 1, 2, 3])
      const partitionsOf = (records: readonly ReadRecord[]) => [
        ...new Set(records.map(({ partition }) => partition)),
      ]
      expect(sorted([...partitionsOf(byFirst), ...partitionsOf(bySecond)])).toEqual([0, 1, 2, 3])
      expect(valuesIn([...byFirst, ...bySecond])).toEqual([...firstValues].sort())
      expect(sorted(again)).toEqual([0, 1, 2, 3])
      expect(valuesIn(byFirstAgain)).toEqual([...secondValues].sort())
    })

    /** What two members own once they have half each and it stays so: a client may ask for one more round. */
    async function settled(first: Driver, second: Driver): Promise<readonly number[]> {
      const endMs = performance.now() + WAIT_MS
      for (let before = ''; ;) {
        const half = { count: PARTITIONS / 2, ms: WAIT_MS }
        const owned = await Promise.all([first.do('owned', half), second.do('owned', half)])
        if (JSON.stringify(owned) === before || performance.now() > endMs) return owned.flat()
        before = JSON.stringify(owned)
        await pause(SETTLED_MS)
      }
    }

    capability('commit and resume', async () => {
      const topic = await createTopic(1)
      const values = valuesOf(40)
      await write(topic, values, 1)
      const joined = { group: `group-of-${topic}`, topic, count: 15 }

      const before = openDriver()
      await before.do('join', joined)
      const taken = await before.do('take', { count: 15, ms: WAIT_MS })
      await before.do('commit', {})
      await before.do('leave', {})
      await before.end()
      const after = openDriver()
      await after.do('join', { ...joined, count: 25 })
      const resumed = await after.do('take', { count: 25, ms: WAIT_MS })
      await after.do('leave', {})

      expect(taken.map(({ value }) => value)).toEqual(values.slice(0, 15))
      expect(resumed.map(({ value }) => value)).toEqual(values.slice(15))
    })

    // The last, for it leaves the cluster with a broker less.
    capability('fail-over', async () => {
      const [producer, consumer] = [openDriver(), openDriver()]
      const topic = await createTopic(3)
      await inSync(cluster.bootstrap, topic)
      const acknowledged = new Set<string>()
      const seen = new Map<string, string>()
      let isProducing = true

      const send = async (round: number): Promise<void> => {
        const records = valuesOf(30, `round-${round}`).map((value, index) => ({
          partition: index % 3,
          value,
        }))
        const idempotent = client.cannot?.idempotence === undefined
        const offsets = await producer.do('produce', { topic, codec: 'none', idempotent, records })
        for (const [index, { value }] of records.entries())
          if (typeof offsets[index] === 'number') acknowledged.add(value)
      }
      const take = async (): Promise<number> => {
        const records = await consumer.do('take', { count: 30, ms: LOOK_MS })
        for (const { partition, offset, value } of records) seen.set(`${partition}:${offset}`, value)
        return records.length
      }
      const consume = async (): Promise<void> => {
        await consumer.do('join', { group: `group-of-${topic}`, topic })
        const endMs = performance.now() + 2 * WAIT_MS
        const isDone = (): boolean => {
          const values = new Set(seen.values())
          return !isProducing && [...acknowledged].every((value) => values.has(value))
        }
        while (!isDone() && performance.now() < endMs) await take()
      }
      const produce = async (): Promise<number> => {
        for (let round = 0; round < 5; round++) await send(round)
        await waitFor(() => seen.size > 0, WAIT_MS)
        const [described] = await ours.admin().describeTopics([topic])
        const underway = send(5)
        await cluster.broker(described!.partitions[0]!.leader!).kill()
        await underway
        const countAtKill = acknowledged.size
        for (let round = 6; round < 12; round++) await send(round)
        return countAtKill
      }

      const consuming = consume()
      const countAtKill = await produce().finally(() => (isProducing = false))
      await consuming
      const kept = new Set((await readAll(topic)).map(({ value }) => value))
      const read = new Set(seen.values())

      const without = (found: ReadonlySet<string>) => [...acknowledged].filter((value) => !found.has(value))
      expect(without(kept).slice(0, NAMED_MAX), `lost, of ${acknowledged.size}`).toEqual([])
      expect(without(read).slice(0, NAMED_MAX), `never read, of ${acknowledged.size}`).toEqual([])
      expect(acknowledged.size).toBeGreaterThan(countAtKill)
    })

    const dataOf = (nodeId: number): string => join(directory, `broker-${nodeId}`)
  })
}

const valuesOf = (count: number, name = 'value'): string[] =>
  Array.from({ length: count }, (_, index) => `${name}-${index}-${'abc'.repeat(index % 20)}`)

const sorted = (numbers: readonly number[]): number[] => [...numbers].sort((a, b) => a - b)

const valuesIn = (records: readonly (SentRecord | ReadRecord)[]): string[] =>
  records.map(({ value }) => value).sort()
