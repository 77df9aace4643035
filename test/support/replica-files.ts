/** Compares what the replicas of a topic have on disk, batch by batch: byte for byte the same, epochs included. */
import { createHash } from 'node:crypto'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { dumpSegmentFile } from '../../src/index.ts'

/** A batch as a line, so that the first difference between two replicas can be read. */
interface StoredReplica {
  readonly directory: string
  readonly batches: readonly string[]
  readonly endOffset: number
}

/**
 * The brokers must have stopped.
 *
 * @param highWatermark - Up to where the replicas must have the same, and must have all.
 * @returns What differs, in words; empty if nothing does.
 */
export async function compareReplicas(
  directories: readonly string[],
  topic: string,
  partition: number,
  highWatermark: number,
): Promise<readonly string[]> {
  const replicas = await Promise.all(
    directories.map((directory) => readReplica(join(directory, `${topic}-${partition}`), highWatermark)),
  )
  const [first, ...others] = replicas
  const differences: string[] = []
  for (const { directory, endOffset } of replicas)
    if (endOffset < highWatermark)
      differences.push(`${directory} ends at ${endOffset}, below the high watermark ${highWatermark}`)
  for (const other of others) {
    const length = Math.max(first!.batches.length, other.batches.length)
    for (let index = 0; index < length; index++) {
      const [ours, theirs] = [first!.batches[index], other.batches[index]]
      if (ours === theirs) continue
      differences.push(`${first!.directory} has ${ours}, ${other.directory} has ${theirs}`)
      break
    }
  }
  return differences
}

async function readReplica(directory: string, highWatermark: number): Promise<StoredReplica> {
  const files = readdirSync(directory).filter((name) => name.endsWith('.log')).sort() // prettier-ignore
  const batches: string[] = []
  let endOffset = 0
  for (const file of files) {
    for await (const item of dumpSegmentFile(join(directory, file))) {
      if (item.kind === 'fault')
        throw new Error(`Reading ${directory}/${file} at ${item.position}: ${item.fault}`)
      const { baseOffset, lastOffsetDelta, leaderEpoch } = item.header
      if (baseOffset >= highWatermark) continue
      endOffset = baseOffset + lastOffsetDelta + 1
      const digest = createHash('sha256').update(item.bytes).digest('hex').slice(0, 16)
      batches.push(`${baseOffset}-${endOffset - 1} of epoch ${leaderEpoch}, ${digest}`)
    }
  }
  return { directory, batches, endOffset }
}
