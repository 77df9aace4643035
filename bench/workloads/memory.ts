/**
 * The broker's memory when there is nothing to do, and when there is nothing but trouble: 1 000 idle connections and 100
 * hostile ones (load/connection-load.ts), while one honest producer goes on writing. The peaks of the other workloads
 * are among their own figures.
 */
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Client } from '../../src/index.ts'
import { BrokerProcess } from '../broker-process.ts'
import { Histogram } from '../histogram.ts'
import type { ConnectionCounts, HostileWork } from '../load/connection-load.ts'
import type { ProduceWork } from '../load/producer-load.ts'
import { startLoad } from '../load/start-load.ts'
import { memoryMetrics } from '../usage.ts'
import { NO_CONDITIONS, type Case, type Workload, type WorkloadContext } from '../workload.ts'
import { produceFirst } from './startup.ts'

const IDLE_CONNECTIONS = 1000
const HOSTILE_CONNECTIONS = 100
const TOY_IDLE_CONNECTIONS = 100
const TOY_HOSTILE_CONNECTIONS = 20
/** Until an idle broker has compiled, collected and settled. */
const SETTLE_MS = 4000
const ATTACK_MS = 6000
const TOY_MS = 500
/** The honest producer's pause between its records, in ms. */
const HONEST_PAUSE_MS = 10
/** Data that hostile fetches ask for. */
const TARGET_MEBIBYTES = 64

export const memory: Workload = {
  name: 'memory',
  summary: "the broker's memory when idle, and among idle and hostile connections",
  open: async (context) => [idleCase(context), hostileCase(context)],
}

let startCount = 0

function idleCase(context: WorkloadContext): Case {
  return {
    name: 'idle',
    conditions: { ...NO_CONDITIONS, durability: context.durability, replicas: 1, partitions: 1 },
    run: async () => {
      const broker = await BrokerProcess.start(context, {
        directory: join(context.directory, `idle-${startCount++}`),
      })
      await produceFirst(broker.url)
      await sleep(context.isToy ? TOY_MS : SETTLE_MS)
      const resident = broker.findResidentSet()
      const metrics =
        resident === null
          ? []
          : [{ name: 'broker RSS', unit: 'MB', value: resident.bytes / 1e6, better: 'lower' as const }]
      await broker.stop()
      return { metrics, work: 'a broker with one topic of one record' }
    },
  }
}

function hostileCase(context: WorkloadContext): Case {
  const { isToy, durability } = context
  const idle = isToy ? TOY_IDLE_CONNECTIONS : IDLE_CONNECTIONS
  const hostile = isToy ? TOY_HOSTILE_CONNECTIONS : HOSTILE_CONNECTIONS
  return {
    name: 'idle and hostile connections',
    conditions: { ...NO_CONDITIONS, durability, replicas: 1, partitions: 1 },
    run: async () => {
      const broker = await BrokerProcess.start(context, {
        directory: join(context.directory, `hostile-${startCount++}`),
      })
      const writer = await startLoad(context, 'producer-load', broker.bootstrap)
      await writer.call('prepare', { topic: 'target', partitions: 1, durability })
      const fill: ProduceWork = { recordBytes: 1024, records: TARGET_MEBIBYTES * 1024 }
      await writer.call('run', fill)
      const connections = await startLoad(context, 'connection-load', broker.bootstrap)
      await connections.call('openIdle', idle)
      broker.resetPeak()
      const attack: HostileWork = { count: hostile, topic: 'target' }
      await connections.call('attack', attack)
      const { latency, failed } = await produceMeanwhile(broker.url, isToy ? TOY_MS : ATTACK_MS)
      const counts = (await connections.call('counts')) as ConnectionCounts
      const metrics = memoryMetrics(broker)
      await connections.call('closeAll')
      await Promise.all([connections.stop(), writer.stop()])
      if (broker.hasEnded) throw new Error('Measured memory: the broker ended under hostile connections')
      await broker.stop()
      return {
        metrics: [
          ...metrics,
          { name: 'honest ack, p99', unit: 'ms', value: latency.percentile(99) / 1e6, better: 'lower' },
          { name: 'honest sends failed', unit: 'records', value: failed, better: 'lower' },
          { name: 'connections closed', unit: 'connections', value: counts.closed, better: 'higher' },
          { name: 'sent by attackers', unit: 'MB', value: counts.sentBytes / 1e6, better: 'lower' },
        ],
        work: `${idle} idle and ${hostile} hostile connections`,
      }
    },
  }
}

/** One record after the other for a while, by a client that knows nothing of the others. */
async function produceMeanwhile(url: string, forMs: number): Promise<{ latency: Histogram; failed: number }> {
  const latency = new Histogram()
  let failed = 0
  const client = new Client({ bootstrap: url })
  const producer = client.producer()
  const endMs = performance.now() + forMs
  while (performance.now() < endMs) {
    const startMs = performance.now()
    try {
      await producer.send({ topic: 'honest', value: 'hello' })
      latency.recordMs(performance.now() - startMs)
    } catch {
      failed++ // counted, and shown among the metrics
    }
    await sleep(HONEST_PAUSE_MS)
  }
  await client.close()
  return { latency, failed }
}
