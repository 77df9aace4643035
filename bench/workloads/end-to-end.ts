/**
 * Latency at a fixed rate (open loop): from when a record is due until it is acknowledged, and until a consumer has it.
 * Acknowledgement is measured without a consumer beside it, with one record a batch at the low rate.
 */
import { join } from 'node:path'
import { BrokerProcess } from '../broker-process.ts'
import { startLoad } from '../load/start-load.ts'
import type { Workload } from '../workload.ts'
import { openLoopCase } from './open-loop-case.ts'

/** Seconds that a repetition lasts. */
const SECONDS = 4
const TOY_SECONDS = 0.5

export const endToEnd: Workload = {
  name: 'end-to-end',
  summary: 'latency at a fixed rate: until acknowledged, and until consumed',
  open: async (context) => {
    const broker = await BrokerProcess.start(context, { directory: join(context.directory, 'broker') })
    const load = await startLoad(context, 'open-loop-load', broker.url)
    const common = {
      seconds: context.isToy ? TOY_SECONDS : SECONDS,
      spec: { partitions: 1, durability: context.durability },
    }
    const slow = { ...common, recordBytes: 100, ratePerSecond: 1000, isUnbatched: true }
    const fast = { ...common, recordBytes: 1024, ratePerSecond: 5000, isUnbatched: false }
    return [
      { ...slow, name: 'acknowledged, 100 B at 1 000/s', until: 'acknowledged' as const },
      { ...slow, name: 'consumed, 100 B at 1 000/s', until: 'consumed' as const },
      { ...fast, name: 'acknowledged, 1 KiB at 5 000/s', until: 'acknowledged' as const },
      { ...fast, name: 'consumed, 1 KiB at 5 000/s', until: 'consumed' as const },
    ].map((wanted) => openLoopCase(broker, load, wanted))
  },
}
