/**
 * What must hold of a cluster at rest and after its end (docs/faults.md section 3):
 *
 *   S2   nobody waits for an answer any more once nothing is written
 *   S6   no election, no change of in-sync replicas, no rebalance while nothing happens
 *   S1   what was closed has no timer, no file and no connection left
 */
import type { ClusterImage } from '../../../src/metadata/cluster-image.ts'
import type { Leavings } from '../../../src/sim/leavings.ts'
import { fail } from './violation.ts'

/**
 * Nothing moves for so long after everything is settled, in virtual ms: what a broker tries again by itself every five seconds comes up
 * wherever it was in its time, and what it does then has a session and a lag time to show.
 */
export const STILL_MS = 8000

/** What changes only when something happens: who leads and is in sync, who is registered, who decides, who has what. */
export interface Stillness {
  readonly image: ClusterImage
  readonly controllerEpoch: number
}

/** S6. @throws Violation */
export function checkStill(before: Stillness, after: Stillness): void {
  if (after.controllerEpoch !== before.controllerEpoch)
    fail(
      'S6',
      `the metadata quorum went from epoch ${before.controllerEpoch} to ${after.controllerEpoch} at rest`,
    )
  for (const [id, broker] of after.image.brokers)
    if (before.image.brokers.get(id)?.epoch !== broker.epoch || broker.isFenced)
      fail('S6', `broker ${id} ${broker.isFenced ? 'is fenced' : 'registered again'} at rest`)
  for (const topic of after.image.topicsByName.values()) {
    const old = before.image.topicsById.get(topic.id)
    for (const [index, { leader, leaderEpoch, isr, replicas }] of topic.partitions.entries()) {
      const earlier = old?.partitions[index]
      if (earlier === undefined || leaderEpoch === earlier.leaderEpoch) {
        if (earlier !== undefined && isr.join() !== earlier.isr.join())
          fail(
            'S6',
            `${topic.name}-${index}: in sync were ${earlier.isr.join()}, and are ${isr.join()} at rest`,
          )
        continue
      }
      // The first replica takes its place again when the controller looks, which may be long after the last fault.
      if (leader === replicas[0] && earlier.leader !== leader) continue
      fail(
        'S6',
        `${topic.name}-${index}: led by ${earlier.leader} in ${earlier.leaderEpoch}, and by ${leader} in ${leaderEpoch} at rest`,
      )
    }
  }
}

/** S6 of a group: its members keep what they have. @throws Violation */
export function checkKept(before: readonly string[], after: readonly string[]): void {
  if (after.join('\n') !== before.join('\n'))
    fail('S6', `members of a group had ${before.join('; ')}, and have ${after.join('; ')} at rest`)
}

/** S2. @throws Violation */
export function checkNobodyWaits(
  name: string,
  partitions: Iterable<{ readonly topic: string; readonly index: number; readonly waitingCount: number }>,
): void {
  for (const { topic, index, waitingCount } of partitions)
    if (waitingCount > 0)
      fail(
        'S2',
        `${waitingCount} batches of ${topic}-${index} wait at ${name} for an answer, and nobody writes`,
      )
}

/** S1. @throws Violation */
export function checkNothingLeft({ name, openFiles, connections, timers }: Leavings): void {
  if (openFiles.length > 0) fail('S1', `${name} was closed and has ${openFiles.join(', ')} open`)
  if (connections.length > 0)
    fail('S1', `${name} was closed and has the connections ${connections.join(', ')}`)
  if (timers.length > 0) fail('S1', `${name} was closed and has timers: ${timers.join(', ')}`)
}
