/** Images of clusters that have some topics, for tests that care for nothing else of a cluster. */
import { EMPTY_IMAGE } from '../../../src/metadata/cluster-image.ts'
import type { ClusterImage } from '../../../src/metadata/cluster-image.ts'
import { ImageBuilder } from '../../../src/metadata/image-builder.ts'
import { decodeMetadataRecord, encodeMetadataRecord } from '../../../src/metadata/records.ts'
import type { MetadataRecordInput } from '../../../src/metadata/records.ts'

/** An id that is easy to tell, of 22 characters. */
export const idOf = (name: string): string => name.replaceAll(/[^a-zA-Z0-9]/g, '-').padEnd(22, 'A')

/** @param topics - Number of partitions by name; or with an id that is not `idOf(name)`. */
export function imageWith(
  topics: Readonly<Record<string, number | { readonly id: string; readonly partitionCount: number }>>,
): ClusterImage {
  const builder = new ImageBuilder(EMPTY_IMAGE)
  let endOffset = 0
  const replay = (record: MetadataRecordInput): void => {
    builder.replay(decodeMetadataRecord(encodeMetadataRecord(record)))
    endOffset++
  }
  for (const [name, topic] of Object.entries(topics)) {
    const { id, partitionCount } =
      typeof topic === 'number' ? { id: idOf(name), partitionCount: topic } : topic
    replay({ kind: 'topic', name, topicId: id })
    for (let partitionId = 0; partitionId < partitionCount; partitionId++) {
      replay({
        ...{ kind: 'partition', partitionId, topicId: id, replicas: [1], isr: [1], directories: [] },
        ...{ removingReplicas: [], addingReplicas: [], leader: 1, leaderEpoch: 0, partitionEpoch: 0 },
      })
    }
  }
  return builder.finish(endOffset, 1).image
}
