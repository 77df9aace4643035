/**
 * How long a producer gets no acknowledgement when the leader of its partition goes away: killed with SIGKILL, and shut
 * down cleanly, which hands leadership over first. Afterwards all is read back: what was acknowledged is there, each record
 * once and in order (load/fail-over-load.ts), or the repetition fails.
 */
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { CLUSTER_SIZE, ClusterProcess } from '../cluster-process.ts'
import { Histogram } from '../histogram.ts'
import type { FailOverResult, FailOverWork } from '../load/fail-over-load.ts'
import { startLoad } from '../load/start-load.ts'
import type { TopicSpec } from '../load/topics.ts'
import type { Worker } from '../worker.ts'
import { NO_CONDITIONS, type Case, type Workload, type WorkloadContext } from '../workload.ts'

const RATE_PER_SECOND = 1000
const RECORD_BYTES = 100
/** Records flow for this long before the leader goes. */
const BEFORE_MS = 2000
const TOY_BEFORE_MS = 500
/** How long a silent broker is taken for alive: the default, so that the figure is what users get. */
const SESSION_MS = 9000
const TOY_SESSION_MS = 1000
/** Records flow on for this long after the leader went, longer than a fail-over may take. */
const AFTER_SESSION_MS = 4000
const TOY_AFTER_SESSION_MS = 1500
const AFTER_SHUTDOWN_MS = 5000
const TOY_AFTER_SHUTDOWN_MS = 1500
/** Heartbeats per session. */
const HEARTBEATS = 4

export const failOver: Workload = {
  name: 'fail-over',
  summary: 'time without acknowledgements when the leader is killed, and when it is shut down',
  open: async (context) => {
    const sessionMs = context.isToy ? TOY_SESSION_MS : SESSION_MS
    const cluster = await ClusterProcess.start(context, {
      directory: join(context.directory, 'cluster'),
      settings: {
        'broker.session.timeout.ms': String(sessionMs),
        'broker.heartbeat.interval.ms': String(sessionMs / HEARTBEATS),
      },
    })
    const load = await startLoad(context, 'fail-over-load', cluster.url)
    return [
      failOverCase(context, cluster, load, {
        name: `leader killed, session time-out ${sessionMs / 1000} s`,
        afterMs: sessionMs + (context.isToy ? TOY_AFTER_SESSION_MS : AFTER_SESSION_MS),
        end: (nodeId) => cluster.get(nodeId).kill(),
      }),
      failOverCase(context, cluster, load, {
        name: 'leader shut down',
        afterMs: context.isToy ? TOY_AFTER_SHUTDOWN_MS : AFTER_SHUTDOWN_MS,
        end: (nodeId) => cluster.get(nodeId).stop(),
      }),
    ]
  },
}

interface Ending {
  readonly name: string
  /** How long records flow after the leader went. */
  readonly afterMs: number
  readonly end: (nodeId: number) => Promise<void>
}

let topicCount = 0

function failOverCase(
  context: WorkloadContext,
  cluster: ClusterProcess,
  load: Worker,
  { name, afterMs, end }: Ending,
): Case {
  const durability = 'os'
  const beforeMs = context.isToy ? TOY_BEFORE_MS : BEFORE_MS
  const records = (RATE_PER_SECOND * (beforeMs + afterMs)) / 1000
  return {
    name,
    conditions: {
      ...NO_CONDITIONS,
      durability,
      acks: 'all',
      recordBytes: RECORD_BYTES,
      replicas: CLUSTER_SIZE,
      partitions: 1,
      transport: 'WebSocket',
      ratePerSecond: RATE_PER_SECOND,
    },
    run: async () => {
      const topic = `fail-over-${topicCount++}`
      const spec: TopicSpec = { topic, partitions: 1, durability, replicas: CLUSTER_SIZE }
      const leader = (await load.call('prepare', spec)) as number
      const work: FailOverWork = { recordBytes: RECORD_BYTES, records, ratePerSecond: RATE_PER_SECOND }
      const running = load.call('run', work) as Promise<FailOverResult>
      running.catch(() => undefined) // it is awaited below; the ending may fail first
      await sleep(beforeMs)
      await end(leader)
      const result = await running
      await cluster.restart(leader)
      await load.call('remove')
      return {
        metrics: [{ name: 'without acks', unit: 'ms', value: result.gapMs, better: 'lower' }],
        latency: Histogram.fromData(result.latency),
        work: result.work,
      }
    },
  }
}
