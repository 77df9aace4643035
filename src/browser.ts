/**
 * Millrace for browsers: the client over WebSocket, bound to what a page or a worker has. Bundled without
 * dependencies (vite.browser.config.ts); it runs under a Content-Security-Policy without `unsafe-eval`.
 */
import { Client as PortableClient } from './client/client.ts'
import type { ClientOptions } from './client/client-options.ts'
import { browserEnv } from './env/browser/browser-env.ts'
import type { BrowserEnvOptions } from './env/browser/browser-env.ts'

export class Client extends PortableClient {
  /**
   * @param options - `bootstrap` is one or several `ws://` or `wss://` addresses.
   * @param environment - Where the platform is to be replaced, or its log read.
   */
  constructor(options: ClientOptions, environment: BrowserEnvOptions = {}) {
    super(browserEnv(environment), options)
  }
}

export type { BrowserEnvOptions } from './env/browser/browser-env.ts'
export { Admin } from './client/admin.ts'
export type * from './client/admin-cluster-types.ts'
export type * from './client/admin-group-types.ts'
export type * from './client/admin-types.ts'
export { ClientError } from './client/client-error.ts'
export type { ClientErrorCode, ItemFailure } from './client/client-error.ts'
export type { ClientOptions } from './client/client-options.ts'
export { Consumer } from './client/consumer.ts'
export type { ReadOptions } from './client/consumer.ts'
export type * from './client/consumer-options.ts'
export { GroupConsumer } from './client/group/group-consumer.ts'
export type { PartitionLag, RunOptions } from './client/group/group-consumer.ts'
export type { GroupConsumerOptions, GroupListener, Subscription } from './client/group/group-options.ts'
export type { CommittedOffset, OffsetOptions, OffsetToCommit } from './client/group/offsets.ts'
export type { RecordHandler } from './client/group/workers.ts'
export { keyPartitioner, murmur2 } from './client/partitioner.ts'
export type { Partitioner } from './client/partitioner.ts'
export { Producer } from './client/producer.ts'
export type { SendOptions } from './client/producer.ts'
export type * from './client/producer-options.ts'
export { bytes, json, text } from './client/serde.ts'
export type { Deserializer, Payload, Serde, Serializer } from './client/serde.ts'
