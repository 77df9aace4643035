/** What a committed image says of the replica of one broker: whether the cluster counts on it. */
import type { PartitionImage } from '../metadata/cluster-image.ts'

/** Whether somebody else is in sync. */
export function hasOtherInSync({ isr }: PartitionImage, brokerId: number): boolean {
  return isr.some((id) => id !== brokerId)
}

/** Whether another leads, and whatever the replica of a broker holds is in the logs of others. */
export function isLedWithout(partition: PartitionImage, brokerId: number): boolean {
  const { leader } = partition
  return leader !== null && leader !== brokerId && !isCountedOn(partition, brokerId)
}

/** Whether the replica of a broker may be elected without anybody's leave. */
export function isCountedOn({ isr, eligibleLeaderReplicas }: PartitionImage, brokerId: number): boolean {
  return isr.includes(brokerId) || eligibleLeaderReplicas.includes(brokerId)
}
