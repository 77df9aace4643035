/** What a broker has written into a partition's first segment: the truth about what a client really sent. */
import { join } from 'node:path'
import { describeAttributes, dumpSegmentFile } from '../../src/index.ts'
import type { DumpedBatch } from '../../src/index.ts'

type StoredBatch = Extract<DumpedBatch, { kind: 'batch' }>

const FIRST_SEGMENT = '00000000000000000000.log'

export async function storedBatches(
  dataDirectory: string,
  topic: string,
  partition = 0,
): Promise<StoredBatch[]> {
  const batches: StoredBatch[] = []
  for await (const batch of dumpSegmentFile(join(dataDirectory, `${topic}-${partition}`, FIRST_SEGMENT))) {
    if (batch.kind === 'fault') throw new Error(`Reading ${topic}-${partition}: ${batch.fault}`)
    batches.push(batch)
  }
  return batches
}

/** Codecs of a partition's batches, each once. */
export async function storedCodecs(dataDirectory: string, topic: string, partition = 0): Promise<string[]> {
  const batches = await storedBatches(dataDirectory, topic, partition)
  return [...new Set(batches.map(({ header }) => describeAttributes(header.attributes).codec))]
}
