/** Topics of a measurement: made before it and gone from the disk after it, so that each begins on new files. */
import type { Client } from '../../src/index.ts'
import type { Durability } from '../workload.ts'

export interface TopicSpec {
  readonly topic: string
  readonly partitions: number
  readonly durability: Durability
}

export async function createTopic(
  client: Client,
  { topic, partitions, durability }: TopicSpec,
): Promise<void> {
  const configs = { durability, 'file.delete.delay.ms': 0, 'retention.ms': -1 }
  await client.admin().createTopics([{ name: topic, partitions, replicationFactor: 1, configs }])
}

export async function deleteTopic(client: Client, topic: string): Promise<void> {
  await client.admin().deleteTopics([topic])
}
