/**
 * The table of APIs: number, messages, and versions. What is not in it is not served.
 *
 * `versions` are those with codecs. `advertised` is what ApiVersions announces. They are the same but for Produce: old
 * librdkafka takes a broker that does not announce Produce v0 for one without compression and silently sends
 * uncompressed (KAFKA-18659). So 0 is announced, and versions 0 to 2 are refused if anybody sends them, as by Kafka.
 *
 * `audience` says who may send it. An API for peers is announced to nobody, and unserved on a connection of a client, which
 * could otherwise pose as a replica or a broker (faults.md X4). An API for clients is for peers as well: brokers pass on what
 * another must answer. To open one of Kafka's client APIs that is for peers here, write its handler and take the mark away;
 * the table of handlers does not compile before.
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
import { AllocateProducerIdsRequest, AllocateProducerIdsResponse } from './messages/allocate-producer-ids.ts'
import { AlterPartitionRequest, AlterPartitionResponse } from './messages/alter-partition.ts'
import {
  AlterPartitionReassignmentsRequest,
  AlterPartitionReassignmentsResponse,
} from './messages/alter-partition-reassignments.ts'
import { BrokerHeartbeatRequest, BrokerHeartbeatResponse } from './messages/broker-heartbeat.ts'
import { BrokerRegistrationRequest, BrokerRegistrationResponse } from './messages/broker-registration.ts'
import { DescribeQuorumRequest, DescribeQuorumResponse } from './messages/describe-quorum.ts'
import { DrainBrokerRequest, DrainBrokerResponse } from './messages/drain-broker.ts'
import { ElectLeadersRequest, ElectLeadersResponse } from './messages/elect-leaders.ts'
import { ForwardRequest, ForwardResponse } from './messages/forward.ts'
import {
  ListPartitionReassignmentsRequest,
  ListPartitionReassignmentsResponse,
} from './messages/list-partition-reassignments.ts'
import { AddRaftVoterRequest, AddRaftVoterResponse } from './messages/add-raft-voter.ts'
import { RemoveRaftVoterRequest, RemoveRaftVoterResponse } from './messages/remove-raft-voter.ts'
import { RenewLeaderEpochsRequest, RenewLeaderEpochsResponse } from './messages/renew-leader-epochs.ts'
import { ResignReplicasRequest, ResignReplicasResponse } from './messages/resign-replicas.ts'
import { UnregisterBrokerRequest, UnregisterBrokerResponse } from './messages/unregister-broker.ts'
import {
  ConsumerGroupDescribeRequest,
  ConsumerGroupDescribeResponse,
} from './messages/consumer-group-describe.ts'
import {
  ConsumerGroupHeartbeatRequest,
  ConsumerGroupHeartbeatResponse,
} from './messages/consumer-group-heartbeat.ts'
import { DeleteGroupsRequest, DeleteGroupsResponse } from './messages/delete-groups.ts'
import { DescribeGroupsRequest, DescribeGroupsResponse } from './messages/describe-groups.ts'
import { FindCoordinatorRequest, FindCoordinatorResponse } from './messages/find-coordinator.ts'
import { HeartbeatRequest, HeartbeatResponse } from './messages/heartbeat.ts'
import { JoinGroupRequest, JoinGroupResponse } from './messages/join-group.ts'
import { LeaveGroupRequest, LeaveGroupResponse } from './messages/leave-group.ts'
import { ListGroupsRequest, ListGroupsResponse } from './messages/list-groups.ts'
import { OffsetCommitRequest, OffsetCommitResponse } from './messages/offset-commit.ts'
import { OffsetDeleteRequest, OffsetDeleteResponse } from './messages/offset-delete.ts'
import { OffsetFetchRequest, OffsetFetchResponse } from './messages/offset-fetch.ts'
import { SyncGroupRequest, SyncGroupResponse } from './messages/sync-group.ts'
import { assert } from '../base/assert.ts'
import type { Infer, InferInput, Message } from './schema/fields.ts'
import { hasVersion, parseVersions } from './schema/versions.ts'
import type { VersionRange } from './schema/versions.ts'

/** Who may send a request: `client`, anybody; `peer`, other brokers of the cluster alone. */
export type Audience = 'client' | 'peer'

/** One API: a request and the response to it. */
export interface Api<
  Name extends string = string,
  Key extends number = number,
  Request extends Message = Message,
  Response extends Message = Message,
  For extends Audience = Audience,
> {
  /** Kafka's name, without `Request`. */
  readonly name: Name
  /** Number on the wire, an int16. */
  readonly key: Key
  readonly request: Request
  readonly response: Response
  readonly audience: For
  /** Versions that are served. */
  readonly versions: VersionRange
  /** Versions that ApiVersions announces. Invariant: holds `versions`; empty for an API of peers. */
  readonly advertised: VersionRange
}

export const apis = {
  Produce: api('Produce', 0, ProduceRequest, ProduceResponse, 0),
  Fetch: api('Fetch', 1, FetchRequest, FetchResponse),
  ListOffsets: api('ListOffsets', 2, ListOffsetsRequest, ListOffsetsResponse),
  Metadata: api('Metadata', 3, MetadataRequest, MetadataResponse),
  OffsetCommit: api('OffsetCommit', 8, OffsetCommitRequest, OffsetCommitResponse),
  OffsetFetch: api('OffsetFetch', 9, OffsetFetchRequest, OffsetFetchResponse),
  FindCoordinator: api('FindCoordinator', 10, FindCoordinatorRequest, FindCoordinatorResponse),
  JoinGroup: api('JoinGroup', 11, JoinGroupRequest, JoinGroupResponse),
  Heartbeat: api('Heartbeat', 12, HeartbeatRequest, HeartbeatResponse),
  LeaveGroup: api('LeaveGroup', 13, LeaveGroupRequest, LeaveGroupResponse),
  SyncGroup: api('SyncGroup', 14, SyncGroupRequest, SyncGroupResponse),
  DescribeGroups: api('DescribeGroups', 15, DescribeGroupsRequest, DescribeGroupsResponse),
  ListGroups: api('ListGroups', 16, ListGroupsRequest, ListGroupsResponse),
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
  DeleteGroups: api('DeleteGroups', 42, DeleteGroupsRequest, DeleteGroupsResponse),
  ElectLeaders: api('ElectLeaders', 43, ElectLeadersRequest, ElectLeadersResponse),
  IncrementalAlterConfigs: api(
    'IncrementalAlterConfigs',
    44,
    IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsResponse,
  ),
  AlterPartitionReassignments: api(
    'AlterPartitionReassignments',
    45,
    AlterPartitionReassignmentsRequest,
    AlterPartitionReassignmentsResponse,
  ),
  ListPartitionReassignments: api(
    'ListPartitionReassignments',
    46,
    ListPartitionReassignmentsRequest,
    ListPartitionReassignmentsResponse,
  ),
  OffsetDelete: api('OffsetDelete', 47, OffsetDeleteRequest, OffsetDeleteResponse),
  DescribeQuorum: api('DescribeQuorum', 55, DescribeQuorumRequest, DescribeQuorumResponse),
  AlterPartition: peerApi('AlterPartition', 56, AlterPartitionRequest, AlterPartitionResponse),
  DescribeCluster: api('DescribeCluster', 60, DescribeClusterRequest, DescribeClusterResponse),
  BrokerRegistration: peerApi(
    'BrokerRegistration',
    62,
    BrokerRegistrationRequest,
    BrokerRegistrationResponse,
  ),
  BrokerHeartbeat: peerApi('BrokerHeartbeat', 63, BrokerHeartbeatRequest, BrokerHeartbeatResponse),
  UnregisterBroker: api('UnregisterBroker', 64, UnregisterBrokerRequest, UnregisterBrokerResponse),
  AllocateProducerIds: peerApi(
    'AllocateProducerIds',
    67,
    AllocateProducerIdsRequest,
    AllocateProducerIdsResponse,
  ),
  ConsumerGroupHeartbeat: api(
    'ConsumerGroupHeartbeat',
    68,
    ConsumerGroupHeartbeatRequest,
    ConsumerGroupHeartbeatResponse,
  ),
  ConsumerGroupDescribe: api(
    'ConsumerGroupDescribe',
    69,
    ConsumerGroupDescribeRequest,
    ConsumerGroupDescribeResponse,
  ),
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
  AddRaftVoter: api('AddRaftVoter', 80, AddRaftVoterRequest, AddRaftVoterResponse),
  RemoveRaftVoter: api('RemoveRaftVoter', 81, RemoveRaftVoterRequest, RemoveRaftVoterResponse),
  // Numbers from 1000 on are our own: Kafka gives its own out one by one.
  RenewLeaderEpochs: peerApi('RenewLeaderEpochs', 1000, RenewLeaderEpochsRequest, RenewLeaderEpochsResponse),
  DrainBroker: api('DrainBroker', 1001, DrainBrokerRequest, DrainBrokerResponse),
  Forward: peerApi('Forward', 1002, ForwardRequest, ForwardResponse),
  ResignReplicas: peerApi('ResignReplicas', 1003, ResignReplicasRequest, ResignReplicasResponse),
} as const

type Apis = typeof apis
export type ApiName = keyof Apis
/** What a client may send. */
export type ClientApiName = { [N in ApiName]: Apis[N]['audience'] extends 'client' ? N : never }[ApiName]
/** What a broker may send to another: everything. */
export type PeerApiName = ApiName
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

/** Every API that a client may use, by ascending number. */
export const clientApiList: readonly Apis[ClientApiName][] = apiList.filter(
  (entry): entry is Apis[ClientApiName] => entry.audience === 'client',
)

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

/** Whether requests of this API in this version are decoded and answered for whoever is at the other end. */
export function isServed(key: number, version: number, audience: Audience = 'client'): boolean {
  const entry = findApi(key)
  if (entry === null || (entry.audience === 'peer' && audience === 'client')) return false
  return hasVersion(entry.versions, version)
}

function api<N extends string, K extends number, Q extends Message, R extends Message>(
  name: N,
  key: K,
  request: Q,
  response: R,
  advertisedFirst: number = request.versions.first,
): Api<N, K, Q, R, 'client'> {
  const advertised = { first: advertisedFirst, last: request.versions.last }
  return { ...declared(name, key, request, response), audience: 'client', advertised }
}

function peerApi<N extends string, K extends number, Q extends Message, R extends Message>(
  name: N,
  key: K,
  request: Q,
  response: R,
): Api<N, K, Q, R, 'peer'> {
  return { ...declared(name, key, request, response), audience: 'peer', advertised: parseVersions('none') }
}

function declared<N extends string, K extends number, Q extends Message, R extends Message>(
  name: N,
  key: K,
  request: Q,
  response: R,
) {
  const { versions } = request
  assert(
    response.versions.first === versions.first && response.versions.last === versions.last,
    `Request and response of ${name} differ in versions`,
  )
  return { name, key, request, response, versions }
}
