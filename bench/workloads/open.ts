/**
 * How long a broker takes to serve again with a large log: after a clean stop; after it was killed while it wrote; and in
 * the worst case of a kill, when nothing of the log is known to be synced and all of it is read and checked.
 *
 * The log is written once, by a producer through a broker. Restarts read it from the page cache as far as it fits.
 */
import { rmSync, statfsSync } from 'node:fs'
import { join } from 'node:path'
import { BrokerProcess } from '../broker-process.ts'
import { formatBytes } from '../format.ts'
import type { ProduceWork } from '../load/producer-load.ts'
import { startLoad } from '../load/start-load.ts'
import { memoryMetrics } from '../usage.ts'
import { NO_CONDITIONS, type Case, type Workload, type WorkloadContext } from '../workload.ts'
import { produceFirst } from './startup.ts'

const MIB = 2 ** 20
const LOG_MEBIBYTES = 10 * 1024
const TOY_LOG_MEBIBYTES = 64
const MANY_PARTITIONS = 100
const RECORD_BYTES = 1024
/** Written before the kill that comes while more is being written. */
const BEFORE_KILL_MEBIBYTES = 128
const TOY_BEFORE_KILL_MEBIBYTES = 8
/** Two logs, what is written before kills, and a margin: a full volume is no place to measure. */
const SPACE_FACTOR = 2.5
/** Says up to where each log is synced; without it, a broker that was killed trusts nothing. */
const RECOVERY_POINTS = 'recovery-point-offset-checkpoint'
const TOPIC = 'large'

export const open: Workload = {
  name: 'open',
  summary: 'starting on a large log: after a clean stop and after a kill',
  open: async (context) => {
    const mebibytes = context.isToy ? TOY_LOG_MEBIBYTES : LOG_MEBIBYTES
    requireSpace(context.directory, mebibytes * MIB * SPACE_FACTOR)
    const one = await writeLog(context, 1, mebibytes)
    const many = await writeLog(context, MANY_PARTITIONS, mebibytes)
    const size = formatBytes(mebibytes * MIB)
    return [
      restartCase(context, `clean, ${size}, 1 partition`, 1, one, async () => undefined),
      restartCase(context, `clean, ${size}, 100 partitions`, MANY_PARTITIONS, many, async () => undefined),
      restartCase(context, `killed, ${size}, 100 partitions`, MANY_PARTITIONS, many, () =>
        killWhileWriting(context, many),
      ),
      restartCase(
        context,
        `killed, nothing synced, ${size}, 100 partitions`,
        MANY_PARTITIONS,
        many,
        async () => {
          const broker = await BrokerProcess.start(context, { directory: many })
          await broker.kill()
          rmSync(join(many, RECOVERY_POINTS), { force: true })
        },
      ),
    ]
  },
}

function requireSpace(directory: string, bytes: number): void {
  const { bavail, bsize } = statfsSync(directory)
  if (bavail * bsize >= bytes) return
  const actual = formatBytes(bavail * bsize)
  throw new Error(
    `Made room for large logs in ${directory}: ${actual} are free, wanted ${formatBytes(bytes)}`,
  )
}

/** @returns The data directory, closed cleanly. */
async function writeLog(context: WorkloadContext, partitions: number, mebibytes: number): Promise<string> {
  const directory = join(context.directory, `log-${partitions}`)
  const broker = await BrokerProcess.start(context, { directory })
  const writer = await startLoad(context, 'producer-load', broker.url)
  await writer.call('prepare', { topic: TOPIC, partitions, durability: context.durability })
  await writer.call('run', workOf(mebibytes))
  await writer.stop()
  await broker.stop()
  return directory
}

const workOf = (mebibytes: number): ProduceWork => ({
  recordBytes: RECORD_BYTES,
  records: (mebibytes * MIB) / RECORD_BYTES,
})

/** Writes on, over all partitions, and kills the broker while more is on its way. */
async function killWhileWriting(context: WorkloadContext, directory: string): Promise<void> {
  const broker = await BrokerProcess.start(context, { directory })
  const writer = await startLoad(context, 'producer-load', broker.url)
  await writer.call('attach', { topic: TOPIC, partitions: MANY_PARTITIONS, durability: context.durability })
  const mebibytes = context.isToy ? TOY_BEFORE_KILL_MEBIBYTES : BEFORE_KILL_MEBIBYTES
  await writer.call('run', workOf(mebibytes))
  const unfinished = writer.call('run', workOf(mebibytes)).catch(() => undefined)
  await broker.kill()
  await writer.stop()
  await unfinished
}

/** Prepares the directory, then measures a start on it. */
function restartCase(
  context: WorkloadContext,
  name: string,
  partitions: number,
  directory: string,
  prepare: () => Promise<void>,
): Case {
  return {
    name,
    conditions: {
      ...NO_CONDITIONS,
      durability: context.durability,
      recordBytes: RECORD_BYTES,
      replicas: 1,
      partitions,
    },
    run: async () => {
      await prepare()
      const startMs = performance.now()
      const broker = await BrokerProcess.start(context, { directory })
      await produceFirst(broker.url)
      const firstAckMs = performance.now() - startMs
      const metrics = memoryMetrics(broker)
      await broker.stop()
      return {
        metrics: [
          { name: 'ready', unit: 'ms', value: broker.readyMs, better: 'lower' },
          { name: 'first ack', unit: 'ms', value: firstAckMs, better: 'lower' },
          ...metrics,
        ],
        work: `${partitions} partitions`,
      }
    },
  }
}
