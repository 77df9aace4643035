/**
 * The client by itself, for an environment that the caller brings: no broker, nothing of Node. `millrace` and
 * `millrace/browser` bind it to theirs.
 */
export { Client } from './client/client.ts'
export { Admin } from './client/admin.ts'
export type * from './client/admin-cluster-types.ts'
export type * from './client/admin-group-types.ts'
export type * from './client/admin-types.ts'
export { ClientError } from './client/client-error.ts'
export type { ClientErrorCode, ItemFailure } from './client/client-error.ts'
export type { ClientOptions, ClientPorts } from './client/client-options.ts'
export { Consumer } from './client/consumer.ts'
export type { ReadOptions } from './client/consumer.ts'
export type {
  Assignment,
  ConsumerBatch,
  ConsumerOptions,
  ConsumerRecord,
  StartPosition,
  TopicPartition,
} from './client/consumer-options.ts'
export { GroupConsumer } from './client/group/group-consumer.ts'
export type { PartitionLag, RunOptions } from './client/group/group-consumer.ts'
export type { GroupConsumerOptions, GroupListener, Subscription } from './client/group/group-options.ts'
export type { CommittedOffset, OffsetOptions, OffsetToCommit } from './client/group/offsets.ts'
export type { RecordHandler } from './client/group/workers.ts'
export { keyPartitioner, murmur2 } from './client/partitioner.ts'
export type { Partitioner } from './client/partitioner.ts'
export { Producer } from './client/producer.ts'
export type { SendOptions } from './client/producer.ts'
export type {
  Acks,
  DeliveredRange,
  Delivery,
  HeadersInput,
  ProducerOptions,
  ProducerRecord,
} from './client/producer-options.ts'
export { bytes, json, text } from './client/serde.ts'
export type { Deserializer, Payload, Serde, Serializer } from './client/serde.ts'
