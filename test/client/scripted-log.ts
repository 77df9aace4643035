/** Partitions that a scripted broker serves to consumers: batches as they lie on disk, and the rules that read them. */
import { errorCode } from '../../src/protocol/errors.ts'
import type { RequestOf, ResponseInputOf } from '../../src/protocol/apis.ts'
import { BatchBuilder } from '../../src/records/batch-builder.ts'
import { assignOffsets, baseOffsetAt, lastOffsetAt, maxTimestampAt } from '../../src/records/batch-header.ts'
import type { SealOptions } from '../../src/records/batch-builder.ts'
import type { Rules } from './scripted-broker.ts'

const encoder = new TextEncoder()

export class ScriptedLog {
  batches: Uint8Array[] = []
  startOffset = 0
  endOffset = 0
  leaderEpoch = 0
  aborted: { producerId: number; firstOffset: number }[] = []

  /** Appends a batch; each record's timestamp is its offset times ten. */
  append(values: readonly string[], options: SealOptions = {}): this {
    const builder = new BatchBuilder()
    for (const [index, value] of values.entries()) {
      builder.append({ key: null, value: encoder.encode(value), timestamp: (this.endOffset + index) * 10 })
    }
    return this.appendBatch(builder.seal(options))
  }

  appendBatch(batch: Uint8Array): this {
    assignOffsets(batch, 0, this.endOffset, this.leaderEpoch)
    this.batches.push(batch)
    this.endOffset = lastOffsetAt(batch, 0) + 1
    return this
  }

  /** Batches from the one that holds `offset`, whole, up to `bytesMax`, at least one. */
  read(offset: number, bytesMax: number): Uint8Array[] {
    const chosen: Uint8Array[] = []
    let bytes = 0
    for (const batch of this.batches) {
      if (lastOffsetAt(batch, 0) < offset) continue
      if (bytes > 0 && bytes + batch.length > bytesMax) break
      chosen.push(batch)
      bytes += batch.length
    }
    return chosen
  }

  lookUp(timestamp: number): number {
    if (timestamp === -2) return this.startOffset
    if (timestamp === -1) return this.endOffset
    const batch = this.batches.find((one) => maxTimestampAt(one, 0) >= timestamp)
    return batch === undefined ? -1 : Math.max(baseOffsetAt(batch, 0), Math.ceil(timestamp / 10))
  }
}

/** Serves logs by partition number; a fetch that finds nothing waits until `wakeMs` have passed, as a long poll. */
export function logRules(logs: readonly ScriptedLog[], after: (ms: number, task: () => void) => void): Rules {
  return {
    Fetch: (request, { answer }) => {
      const { body, isEmpty } = fetched(request, logs)
      if (!isEmpty) return body
      after(request.maxWaitMs, () => answer(fetched(request, logs).body as never))
      return 'silence'
    },
    ListOffsets: (request) => ({
      topics: request.topics.map(({ name, partitions }) => ({
        name,
        partitions: partitions.map(({ partitionIndex, timestamp }) => ({
          partitionIndex,
          errorCode: 0,
          offset: logs[partitionIndex]!.lookUp(timestamp),
          timestamp: -1,
        })),
      })),
    }),
  }
}

function fetched(
  request: RequestOf<'Fetch'>,
  logs: readonly ScriptedLog[],
): { body: ResponseInputOf<'Fetch'>; isEmpty: boolean } {
  let isEmpty = true
  const body = {
    responses: request.topics.map(({ topic, topicId, partitions }) => ({
      topic,
      topicId,
      partitions: partitions.map(({ partition, fetchOffset, partitionMaxBytes }) => {
        const log = logs[partition]!
        const isOutOfRange = fetchOffset < log.startOffset || fetchOffset > log.endOffset
        const records = isOutOfRange ? [] : log.read(fetchOffset, partitionMaxBytes)
        if (isOutOfRange || records.length > 0) isEmpty = false
        return {
          partitionIndex: partition,
          errorCode: isOutOfRange ? errorCode('OFFSET_OUT_OF_RANGE') : 0,
          highWatermark: log.endOffset,
          logStartOffset: log.startOffset,
          abortedTransactions: log.aborted,
          records,
        }
      }),
    })),
  }
  return { body, isEmpty }
}
