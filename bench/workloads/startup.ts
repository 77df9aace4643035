/**
 * From nothing to the first record that is acknowledged, on an empty directory: `millrace start` in a new process, and
 * `startBroker` in a process that has loaded the code. The topic is made on the way, by asking for it.
 */
import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { Client } from '../../src/index.ts'
import { BrokerProcess } from '../broker-process.ts'
import type { EmbeddedStart } from '../load/embedded.ts'
import { startLoad } from '../load/start-load.ts'
import {
  NO_CONDITIONS,
  type Case,
  type Measurement,
  type Workload,
  type WorkloadContext,
} from '../workload.ts'

const conditionsOf = ({ durability }: WorkloadContext) => ({
  ...NO_CONDITIONS,
  durability,
  acks: 'all' as const,
  replicas: 1,
  partitions: 1,
})

export const startup: Workload = {
  name: 'startup',
  summary: 'from nothing to the first acknowledged record',
  open: async (context) => [inNewProcess(context), inProcess(context)],
}

let startCount = 0

function inNewProcess(context: WorkloadContext): Case {
  return {
    name: 'new process',
    conditions: { ...conditionsOf(context), transport: 'WebSocket' },
    run: async () => {
      const directory = join(context.directory, `start-${startCount++}`)
      const startMs = performance.now()
      const broker = await BrokerProcess.start(context, { directory, settings: settingsOf(context) })
      const offset = await produceFirst(broker.url)
      const firstAckMs = performance.now() - startMs
      await broker.stop()
      rmSync(directory, { recursive: true })
      return measurement(broker.readyMs, firstAckMs, offset)
    },
  }
}

function inProcess(context: WorkloadContext): Case {
  return {
    name: 'in-process',
    conditions: { ...conditionsOf(context), transport: 'in-process' },
    run: async () => {
      const directory = join(context.directory, `start-${startCount++}`)
      mkdirSync(directory)
      const worker = await startLoad(context, 'embedded', null)
      const { readyMs, firstAckMs, offset } = (await worker.call('start', directory)) as EmbeddedStart
      await worker.stop()
      rmSync(directory, { recursive: true })
      return measurement(readyMs, firstAckMs, offset)
    },
  }
}

const settingsOf = ({ durability }: WorkloadContext) => ({ 'log.durability': durability })

/** Produces one record over a new client. @returns Its offset. */
export async function produceFirst(url: string, topic = 'first'): Promise<number> {
  const client = new Client({ bootstrap: url })
  try {
    const { offset } = await client.producer().send({ topic, value: 'hello' })
    return offset
  } finally {
    await client.close()
  }
}

function measurement(readyMs: number, firstAckMs: number, offset: number): Measurement {
  return {
    metrics: [
      { name: 'ready', unit: 'ms', value: readyMs, better: 'lower' },
      { name: 'first ack', unit: 'ms', value: firstAckMs, better: 'lower' },
    ],
    work: `a record at offset ${offset}`,
  }
}
