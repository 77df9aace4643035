/** Names of the replication skeleton's cases, by which targets find the ceiling of a figure in its own workload. */
import { formatBytes, formatNumber } from '../format.ts'

/** Large enough that the cost of a message is spread, small enough to keep three processes busy at a time. */
export const SKELETON_BATCH_BYTES = [65_536, 262_144] as const

export const skeletonName = (bytes: number, durability: 'disk' | 'os', ratePerSecond?: number): string =>
  ratePerSecond === undefined
    ? `replication skeleton, ${formatBytes(bytes)} batches, ${durability}`
    : `replication skeleton, ${formatBytes(bytes)} at ${formatNumber(ratePerSecond)}/s, ${durability}`
