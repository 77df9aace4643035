/** Partitions as consumers of the classic protocol name them, by topic, and as groups of the consumer protocol hold them, by id. */
import type { ClusterImage } from '../../../metadata/cluster-image.ts'
import type { Assignment } from '../assignors/assignor.ts'
import type { NamedPartitions } from '../classic/consumer-protocol.ts'
import { gatherPartitions, listPartitions } from './assignment-sets.ts'

/** What is not there, or not any more, nobody can have. */
export function toAssignment(named: readonly NamedPartitions[], image: ClusterImage): Assignment {
  return gatherPartitions(
    named.flatMap(({ topic: name, partitions }) => {
      const topic = image.topicsByName.get(name)
      if (topic === undefined) return []
      const count = topic.partitions.length
      const present = partitions.filter((partition) => partition >= 0 && partition < count)
      return [{ topicId: topic.id, partitions: present }]
    }),
  )
}

export function toNamed(assignment: Assignment, image: ClusterImage): NamedPartitions[] {
  return listPartitions(assignment).flatMap(({ topicId, partitions }) => {
    const topic = image.topicsById.get(topicId)
    return topic === undefined ? [] : [{ topic: topic.name, partitions }]
  })
}
