/**
 * The table of APIs: number, messages, and versions. What is not in it is not served.
 *
 * `versions` are those with codecs. `advertised` is what ApiVersions announces. They are the same but for Produce: old
 * librdkafka takes a broker that does not announce Produce v0 for one without compression and silently sends
 * uncompressed (KAFKA-18659). So 0 is announced, and versions 0 to 2 are refused if anybody sends them, as by Kafka.
 */
import { AlterConfigsRequest, AlterConfigsResponse } from './messages/alter-configs.ts'
import { ApiVersionsRequest, ApiVersionsResponse } from './messages/api-versions.ts'
import { CreatePartitionsRequest, CreatePartitionsResponse } from './messages/create-partitions.ts'
import { CreateTopicsRequest, CreateTopicsResponse } from './messages/create-topics.ts'
import { DeleteRecordsRequest, DeleteRecordsResponse } from './messages/delete-records.ts'
import { DeleteTopicsRequest, DeleteTopicsResponse } from './messages/delete-topics.ts'
import { DescribeClusterRequest, DescribeClusterResponse } from './messages/describe-cluster.ts'
import { DescribeConfigsRequest, DescribeConfigsResponse } from './messages/describe-configs.ts'
import { DescribeLogDirsRequest, DescribeLogDirsResponse } from './messages/describe-log-dirs.ts'
import {
  DescribeTopicPartitionsRequest,
  DescribeTopicPartitionsResponse,
} from './messages/describe-topic-partitions.ts'
import { FetchRequest, FetchResponse } from './messages/fetch.ts'
import {
  IncrementalAlterConfigsRequest,
  IncrementalAlterConfigsResponse,
} from './messages/incremental-alter-configs.ts'
import { InitProducerIdRequest, InitProducerIdResponse } from './messages/init-producer-id.ts'
import { ListConfigResourcesRequest, ListConfigResourcesResponse } from './messages/list-config-resources.ts'
import { ListOffsetsRequest, ListOffsetsResponse } from './messages/list-offsets.ts'
import { MetadataRequest, MetadataResponse } from './messages/metadata.ts'
import {
  OffsetForLeaderEpochRequest,
  OffsetForLeaderEpochResponse,
} from './messages/offset-for-leader-epoch.ts'
import { ProduceRequest, ProduceResponse } from './messages/produce.ts'
import { assert } from '../base/assert.ts'
import type { Infer, InferInput, Message } from './schema/fields.ts'
import { hasVersion } from './schema/versions.ts'
import type { VersionRange } from './schema/versions.ts'

/** One API: a request and the response to it. */
export interface Api<
  Name extends string = string,
  Key extends number = number,
  Request extends Message = Message,
  Response extends Message = Message,
> {
  /** Kafka's name, without `Request`. */
  readonly name: Name
  /** Number on the wire, an int16. */
  readonly key: Key
  readonly request: Request
  readonly response: Response
  /** Versions that are served. */
  readonly versions: VersionRange
  /** Versions that ApiVersions announces. Invariant: holds `versions`. */
  readonly advertised: VersionRange
}

export const apis = {
  Produce: api('Produce', 0, ProduceRequest, ProduceResponse, 0),
  Fetch: api('Fetch', 1, FetchRequest, FetchResponse),
  ListOffsets: api('ListOffsets', 2, ListOffsetsRequest, ListOffsetsResponse),
  Metadata: api('Metadata', 3, MetadataRequest, MetadataResponse),
  ApiVersions: api('ApiVersions', 18, ApiVersionsRequest, ApiVersionsResponse),
  CreateTopics: api('CreateTopics', 19, CreateTopicsRequest, CreateTopicsResponse),
  DeleteTopics: api('DeleteTopics', 20, DeleteTopicsRequest, DeleteTopicsResponse),
  DeleteRecords: api('DeleteRecords', 21, DeleteRecordsRequest, DeleteRecordsResponse),
  InitProducerId: api('InitProducerId', 22, InitProducerIdRequest, InitProducerIdResponse),
  OffsetForLeaderEpoch: api(
    'OffsetForLeaderEpoch',
    23,
    OffsetForLeaderEpochRequest,
    OffsetForLeaderEpochResponse,
  ),
  DescribeConfigs: api('DescribeConfigs', 32, DescribeConfigsRequest, DescribeConfigsResponse),
  AlterConfigs: api('AlterConfigs', 33, AlterConfigsRequest, AlterConfigsResponse),
  DescribeLogDirs: api('DescribeLogDirs', 35, DescribeLogDirsRequest, DescribeLogDirsResponse),
  CreatePartitions: api('CreatePartitions', 37, CreatePartitionsRequest, CreatePartitionsResponse),
  IncrementalAlterConfigs: api(
    'IncrementalAlterConfigs',
    44,
    IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsResponse,
  ),
  DescribeCluster: api('DescribeCluster', 60, DescribeClusterRequest, DescribeClusterResponse),
  ListConfigResources: api(
    'ListConfigResources',
    74,
    ListConfigResourcesRequest,
    ListConfigResourcesResponse,
  ),
  DescribeTopicPartitions: api(
    'DescribeTopicPartitions',
    75,
    DescribeTopicPartitionsRequest,
    DescribeTopicPartitionsResponse,
  ),
} as const

type Apis = typeof apis
export type ApiName = keyof Apis
export type ApiKey = Apis[ApiName]['key']
type NameByKey = { [N in ApiName as Apis[N]['key']]: N }
/** The API that a name or a number stands for. */
type ApiOf<A extends ApiName | ApiKey> = A extends ApiName
  ? Apis[A]
  : A extends ApiKey
    ? Apis[NameByKey[A]]
    : never

/** What decoding a request yields, by name or number of the API. */
export type RequestOf<A extends ApiName | ApiKey> = Infer<ApiOf<A>['request']>
/** What encoding a request accepts. */
export type RequestInputOf<A extends ApiName | ApiKey> = InferInput<ApiOf<A>['request']>
export type ResponseOf<A extends ApiName | ApiKey> = Infer<ApiOf<A>['response']>
export type ResponseInputOf<A extends ApiName | ApiKey> = InferInput<ApiOf<A>['response']>

/** Every API, by ascending number. */
export const apiList: readonly Apis[ApiName][] = Object.values(apis).sort((a, b) => a.key - b.key)

const byKey: (Apis[ApiName] | null)[] = []
for (const entry of apiList) {
  while (byKey.length < entry.key) byKey.push(null)
  assert(byKey.length === entry.key, `API number given twice: ${entry.key}`)
  byKey.push(entry)
}

/** The API with a number off the wire, or null. */
export function findApi(key: number): Apis[ApiName] | null {
  return key >= 0 && key < byKey.length ? byKey[key]! : null
}

/** Whether requests of this API in this version can be decoded and answered. */
export function isServed(key: number, version: number): boolean {
  const entry = findApi(key)
  return entry !== null && hasVersion(entry.versions, version)
}

function api<N extends string, K extends number, Q extends Message, R extends Message>(
  name: N,
  key: K,
  request: Q,
  response: R,
  advertisedFirst: number = request.versions.first,
): Api<N, K, Q, R> {
  const { versions } = request
  assert(
    response.versions.first === versions.first && response.versions.last === versions.last,
    `Request and response of ${name} differ in versions`,
  )
  return {
    name,
    key,
    request,
    response,
    versions,
    advertised: { first: advertisedFirst, last: versions.last },
  }
}
