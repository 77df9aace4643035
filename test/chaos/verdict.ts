/**
 * The end of a run: the load stops, everything is read once more from the beginning, the group catches up, all brokers stop, and
 * what clients were told is compared with what there is, on every replica.
 */
import { verifyDataDirectory } from '../../src/index.ts'
import type { LogFault } from '../support/log-checker.ts'
import { compareReplicas } from '../support/replica-files.ts'
import { PARTITIONS, STEP_MS_MAX, TOPIC } from './scene.ts'
import type { Scene } from './scene.ts'
import { KIND_OF } from './tally.ts'
import type { Verdict } from './tally.ts'

export type VerdictFault = Verdict['faults'][number]

/** What a healed cluster may take to give everything sent an outcome, in ms: clients that wait for time-outs one after the other. */
const OUTCOMES_MS_MAX = 60_000
/** What no fault of a disk or of a network explains. */
const IS_UNEXPLAINED = /assert|unhandled|uncaught|UNKNOWN_SERVER_ERROR|TypeError|RangeError/i

/** Ends the load. @returns Everything that is wrong. @throws When the healed cluster does not get there in time. */
export async function judge(scene: Scene): Promise<Verdict> {
  const { load, group, observer } = scene
  scene.longestGapMs = load.takeLongestGapMs()
  await scene.step('an outcome for everything sent', load.stop(), OUTCOMES_MS_MAX)
  await scene.isWhole()
  const ends = await scene.step('ends of the log', committedEnds(scene))
  const groupFaults = await scene.step(
    'the group handles all',
    group.finish(ends, STEP_MS_MAX),
    2 * STEP_MS_MAX,
  )
  const last = observer.consumer({ topics: [TOPIC], from: 'beginning', untilEnd: true })
  await scene.closeClients()
  const { faults, aboveHighWatermark } = await scene.step(
    'reading all',
    load.judge(last, group.reads),
    OUTCOMES_MS_MAX,
  )
  await observer.close()
  await scene.stop()
  const directories = scene.cluster.directories
  return {
    faults: [
      ...judgeReads(faults),
      ...aboveHighWatermark.map((message) => ({ kind: 'read above the high watermark' as const, message })),
      ...(await judgeReplicas(directories, TOPIC, ends, scene.damagedCaches)),
      ...[...groupFaults, ...unexplained(scene.cluster.complaints), ...withoutOutcome(scene)].map(
        (message) => ({
          kind: 'other' as const,
          message,
        }),
      ),
    ],
  }
}

export function judgeReads(faults: readonly LogFault[]): readonly VerdictFault[] {
  return faults.map(({ kind, log, message }) => ({
    kind: KIND_OF[kind],
    message: `${kind}: ${log}: ${message}`,
  }))
}

/**
 * Compares the replicas of stopped brokers byte by byte, and checks the files of each.
 *
 * @param ends - High watermarks by partition.
 * @param damagedCaches - Files that need not be sound: what they say is believed only where the log agrees (D5).
 */
export async function judgeReplicas(
  directories: readonly string[],
  topic: string,
  ends: readonly number[],
  damagedCaches: ReadonlySet<string> = new Set(),
): Promise<readonly VerdictFault[]> {
  const found: VerdictFault[] = []
  for (const [partition, end] of ends.entries()) {
    const differences = await compareReplicas(directories, topic, partition, end).catch((error: unknown) => [
      (error as Error).message,
    ])
    for (const message of differences) found.push({ kind: 'diverged', message })
  }
  for (const directory of directories)
    for await (const { faults } of verifyDataDirectory(directory))
      for (const { path, position, fault } of faults)
        if (!damagedCaches.has(path))
          found.push({
            kind: 'other',
            message: `${path}${position === null ? '' : ` at ${position}`}: ${fault}`,
          })
  return found
}

async function committedEnds(scene: Scene): Promise<readonly number[]> {
  const asked = Array.from({ length: PARTITIONS }, (_, partition) => ({
    topic: TOPIC,
    partition,
    at: 'latest' as const,
  }))
  const answers = await scene.observer.admin().listOffsets(asked)
  return answers.map(({ offset }) => offset!)
}

function unexplained(complaints: readonly string[]): readonly string[] {
  return complaints.filter((line) => line.includes(' ERROR ') && IS_UNEXPLAINED.test(line))
}

function withoutOutcome({ load }: Scene): readonly string[] {
  const count = load.history.count('unknown')
  return count === 0 ? [] : [`${count} records have no outcome`]
}
