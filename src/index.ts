/**
 * Millrace on Node: the client, and brokers in this process.
 *
 * `millrace/testing` starts brokers for tests, `millrace/browser` is the client in a browser, `millrace/client` the client
 * for an environment of one's own, `millrace/protocol` the messages.
 */
export { Client } from './node/client.ts'
export type { NodeClientOptions } from './node/client.ts'
export { startBroker } from './node/start-broker.ts'
export type { StartBrokerOptions } from './node/start-broker.ts'
export { Broker } from './broker/broker.ts'
export { BrokerError } from './broker/broker-error.ts'
export { explainBrokerConfig, loadBrokerConfig } from './broker/broker-config.ts'
export type { BrokerConfig, ConfigSources, ExplainedSetting } from './broker/broker-config.ts'
export type { BoundListener } from './broker/listeners.ts'
export { ConfigError } from './metadata/config-table.ts'
export { FileError, NetworkError } from './env/index.ts'
export type { LogFields, Logger } from './env/index.ts'
export { silentLogger } from './env/index.ts'
export { LogError } from './log/log-error.ts'
export type { DumpedBatch } from './log/dump.ts'
export type { VerifiedDirectory, VerifiedLog, VerifyFault } from './log/verify.ts'
export { describeAttributes, dumpSegmentFile, readBatchRecords, verifyDataDirectory } from './node/inspect.ts'
export type { BatchAttributes } from './node/inspect.ts'

export {
  Admin,
  bytes,
  ClientError,
  Consumer,
  GroupConsumer,
  json,
  keyPartitioner,
  murmur2,
  Producer,
  text,
} from './client.ts'
export type {
  Acks,
  Assignment,
  ClientErrorCode,
  ClientOptions,
  CommittedOffset,
  ConsumerBatch,
  ConsumerOptions,
  ConsumerRecord,
  DeliveredRange,
  Delivery,
  Deserializer,
  GroupConsumerOptions,
  GroupListener,
  HeadersInput,
  ItemFailure,
  OffsetOptions,
  OffsetToCommit,
  PartitionLag,
  Partitioner,
  Payload,
  ProducerOptions,
  ProducerRecord,
  ReadOptions,
  RecordHandler,
  RunOptions,
  SendOptions,
  Serde,
  Serializer,
  StartPosition,
  Subscription,
  TopicPartition,
} from './client.ts'
export type * from './client/admin-cluster-types.ts'
export type * from './client/admin-group-types.ts'
export type * from './client/admin-types.ts'
