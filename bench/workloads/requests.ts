/**
 * Single records: every record a batch of its own, 256 of them under way on one connection. With one partition and no
 * idempotence every record is a request; with many partitions an idempotent producer, which may have five requests under
 * way, puts the records of several partitions into one request.
 *
 * Frames that were encoded once show what the broker does when the client costs nothing.
 */
import { join } from 'node:path'
import { BrokerProcess } from '../broker-process.ts'
import type { RequestProducer, RequestWork } from '../load/request-load.ts'
import { startLoad } from '../load/start-load.ts'
import { measureUsage, type LoadResult } from '../usage.ts'
import type { Worker } from '../worker.ts'
import { NO_CONDITIONS, type Case, type Workload, type WorkloadContext } from '../workload.ts'

const RECORD_BYTES = 100
const IN_FLIGHT_MAX = 256
const RECORDS = 100_000
const TOY_RECORDS = 5_000
const MANY_PARTITIONS = 64
/** What an idempotent producer may have under way. */
const IDEMPOTENT_REQUESTS_MAX = 5

export const requests: Workload = {
  name: 'requests',
  summary: 'one record a batch, 256 in flight on one connection',
  open: async (context) => {
    const broker = await BrokerProcess.start(context, { directory: join(context.directory, 'broker') })
    const overWebSocket = await startLoad(context, 'request-load', broker.url)
    const overTcp = await startLoad(context, 'request-load', broker.bootstrap)
    const frames = await startLoad(context, 'frame-load', broker.bootstrap)
    const single = { partitions: 1, idempotent: false, requestsMax: IN_FLIGHT_MAX }
    const many = { partitions: MANY_PARTITIONS, idempotent: true, requestsMax: IDEMPOTENT_REQUESTS_MAX }
    const cases = [
      { name: 'WebSocket, a record a request', transport: 'WebSocket', load: overWebSocket, frames: null, ...single },
      { name: 'TCP, a record a request', transport: 'TCP', load: overTcp, frames: null, ...single },
      { name: 'TCP, encoded once', transport: 'TCP', load: overTcp, frames, ...single },
      { name: 'WebSocket, 64 partitions, idempotent', transport: 'WebSocket', load: overWebSocket, frames: null, ...many },
    ] as const // prettier-ignore
    return cases.map((each) => requestCase(context, broker, each))
  },
}

interface RequestCase {
  readonly name: string
  readonly transport: 'WebSocket' | 'TCP'
  /** Makes the topic, and the load unless `frames` does. */
  readonly load: Worker
  readonly frames: Worker | null
  readonly partitions: number
  readonly idempotent: boolean
  readonly requestsMax: number
}

let topicCount = 0

function requestCase(context: WorkloadContext, broker: BrokerProcess, wanted: RequestCase): Case {
  const { isToy, durability } = context
  const { name, transport, load, frames, partitions, idempotent, requestsMax } = wanted
  const work: RequestWork = {
    recordBytes: RECORD_BYTES,
    records: isToy ? TOY_RECORDS : RECORDS,
    inFlightMax: IN_FLIGHT_MAX,
  }
  return {
    name,
    conditions: {
      ...NO_CONDITIONS,
      durability,
      acks: 'all',
      recordBytes: RECORD_BYTES,
      inFlightMax: IN_FLIGHT_MAX,
      replicas: 1,
      partitions,
      transport,
    },
    run: async () => {
      const topic = `requests-${topicCount++}`
      const producer: RequestProducer = { spec: { topic, partitions, durability }, idempotent, requestsMax }
      await load.call('prepare', producer)
      try {
        return await measureUsage(
          broker,
          () => (frames ?? load).call('run', { ...work, topic }) as Promise<LoadResult>,
        )
      } finally {
        await load.call('remove')
      }
    },
  }
}
