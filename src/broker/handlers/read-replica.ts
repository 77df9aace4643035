/**
 * Which replica a consumer should read from (KIP-392): one in its own rack, if the leader is in another. Among several the one
 * that has come farthest. Only one that is in sync and has what the consumer wants next, or it would be sent back at once.
 */
import type { ClusterImage } from '../../metadata/cluster-image.ts'
import type { Partition } from '../../replication/partition.ts'

const NONE = -1

/** @returns A broker id, or -1: here is right. */
export function findCloserReplica(
  image: ClusterImage,
  ownId: number,
  partition: Partition,
  rack: string,
  fetchOffset: number,
): number {
  const leader = partition.leaderState
  if (leader === null || image.brokers.get(ownId)?.rack === rack) return NONE
  let closest = NONE
  let farthest = NONE
  for (const { brokerId, endOffset, logStartOffset } of leader.positions()) {
    const broker = image.brokers.get(brokerId)
    const isThere = broker?.rack === rack && !broker.isFenced && leader.isr.includes(brokerId)
    if (!isThere || fetchOffset > endOffset || fetchOffset < logStartOffset || endOffset <= farthest) continue
    closest = brokerId
    farthest = endOffset
  }
  return closest
}
