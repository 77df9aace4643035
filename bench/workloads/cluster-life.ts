/**
 * A cluster of three brokers that begins, and one that has nothing to do: from nothing to the first record that three
 * replicas have, the same with data that is there, and what many partitions cost while nobody writes to them.
 *
 * Brokers here have the session time-out and heartbeats that they have by default.
 */
import { join } from 'node:path'
import { rmSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { Client } from '../../src/index.ts'
import { CLUSTER_SIZE, ClusterProcess } from '../cluster-process.ts'
import { formatNumber } from '../format.ts'
import type { EmbeddedStart } from '../load/embedded.ts'
import { startLoad } from '../load/start-load.ts'
import { awaitInSync, createTopic, type TopicSpec } from '../load/topics.ts'
import { NO_CONDITIONS, type Case, type Metric, type Workload, type WorkloadContext } from '../workload.ts'
import { produceFirst } from './startup.ts'

const PARTITIONS = [100, 2000] as const
const TOY_PARTITIONS = [10] as const
/** Until idle brokers have compiled, collected and settled. */
const SETTLE_MS = 5000
/** Over how long the CPU of idle brokers is counted. */
const IDLE_MS = 10_000
const TOY_MS = 400

const conditions = { ...NO_CONDITIONS, durability: 'disk' as const, replicas: CLUSTER_SIZE }

let startCount = 0

const nextDirectory = (context: WorkloadContext): string => join(context.directory, `life-${startCount++}`)

export const clusterStartup: Workload = {
  name: 'cluster-startup',
  summary: 'three brokers: from nothing, and from a stop of all, to the first acknowledged record',
  open: async (context) => [startCase(context), restartCase(context), inProcessCase(context)],
}

export const clusterIdle: Workload = {
  name: 'cluster-idle',
  summary: 'three brokers with many partitions: starting again, and doing nothing',
  open: async (context) =>
    (context.isToy ? TOY_PARTITIONS : PARTITIONS).map((partitions) => idleCase(context, partitions)),
}

function startCase(context: WorkloadContext): Case {
  return {
    name: 'three processes, new',
    conditions: { ...conditions, acks: 'all', partitions: 1, transport: 'WebSocket' },
    run: async () => {
      const directory = nextDirectory(context)
      const startMs = performance.now()
      const cluster = await ClusterProcess.start(context, { directory })
      const readyMs = performance.now() - startMs
      const offset = await produceFirst(cluster.url)
      const firstAckMs = performance.now() - startMs
      await cluster.stop()
      rmSync(directory, { recursive: true })
      return {
        metrics: [ms('ready', readyMs), ms('first ack', firstAckMs)],
        work: `a record at offset ${offset}`,
      }
    },
  }
}

function restartCase(context: WorkloadContext): Case {
  return {
    name: 'three processes, again',
    conditions: { ...conditions, acks: 'all', partitions: 1, transport: 'WebSocket' },
    run: async () => {
      const directory = nextDirectory(context)
      const cluster = await ClusterProcess.start(context, { directory })
      await produceFirst(cluster.url)
      await cluster.stop()
      const startMs = performance.now()
      const readyMs = await cluster.startAgain()
      const offset = await produceFirst(cluster.url)
      const firstAckMs = performance.now() - startMs
      await cluster.stop()
      rmSync(directory, { recursive: true })
      return {
        metrics: [ms('ready', readyMs), ms('first ack', firstAckMs)],
        work: `a record at offset ${offset}`,
      }
    },
  }
}

/** As tests start it: three brokers in one process that has loaded the code, files in memory. */
function inProcessCase(context: WorkloadContext): Case {
  return {
    name: 'in-process, new',
    conditions: { ...conditions, durability: 'memory', acks: 'all', partitions: 1, transport: 'in-process' },
    run: async () => {
      const worker = await startLoad(context, 'embedded', null)
      const { readyMs, firstAckMs, offset } = (await worker.call('startCluster')) as EmbeddedStart
      await worker.stop()
      return {
        metrics: [ms('ready', readyMs), ms('first ack', firstAckMs)],
        work: `a record at offset ${offset}`,
      }
    },
  }
}

function idleCase(context: WorkloadContext, partitions: number): Case {
  const { isToy } = context
  return {
    name: `${formatNumber(partitions).replace(/\.0+$/, '')} partitions`,
    conditions: { ...conditions, partitions },
    run: async () => {
      const directory = nextDirectory(context)
      const cluster = await ClusterProcess.start(context, { directory })
      const spec: TopicSpec = { topic: 'many', partitions, durability: 'disk', replicas: CLUSTER_SIZE }
      await withClient(cluster.url, (client) => createTopic(client, spec))
      await cluster.stop()

      const startMs = performance.now()
      const readyMs = await cluster.startAgain()
      await withClient(cluster.url, (client) => awaitInSync(client, spec))
      const inSyncMs = performance.now() - startMs
      await sleep(isToy ? TOY_MS : SETTLE_MS)
      const metrics = [ms('ready', readyMs), ms('all in sync', inSyncMs), ...(await measureIdle(cluster, isToy ? TOY_MS : IDLE_MS))] // prettier-ignore
      await cluster.stop()
      rmSync(directory, { recursive: true })
      return { metrics, work: `${partitions} partitions, ${CLUSTER_SIZE} replicas each in sync` }
    },
  }
}

/** CPU and memory of the broker that costs most: a mean would hide the one that does the work. */
async function measureIdle(cluster: ClusterProcess, forMs: number): Promise<Metric[]> {
  const before = cluster.brokers.map((broker) => broker.findCpuMs())
  const startMs = performance.now()
  await sleep(forMs)
  const elapsedMs = performance.now() - startMs
  const cores = cluster.brokers.map((broker, index) => {
    const [a, b] = [before[index] ?? null, broker.findCpuMs()]
    return a === null || b === null ? null : (b - a) / elapsedMs
  })
  const resident = cluster.brokers.map((broker) => broker.findResidentSet()?.bytes ?? null)
  return [
    ...largest('busiest broker', 'cores', cores),
    ...largest('largest broker RSS', 'MB', resident.map((bytes) => (bytes === null ? null : bytes / 1e6))), // prettier-ignore
  ]
}

function largest(name: string, unit: string, values: readonly (number | null)[]): Metric[] {
  const known = values.filter((value) => value !== null)
  return known.length < values.length ? [] : [{ name, unit, value: Math.max(...known), better: 'lower' }]
}

const ms = (name: string, value: number): Metric => ({ name, unit: 'ms', value, better: 'lower' })

async function withClient<T>(url: string, use: (client: Client) => Promise<T>): Promise<T> {
  const client = new Client({ bootstrap: url })
  try {
    return await use(client)
  } finally {
    await client.close()
  }
}
