/**
 * The table of request handlers: what is in it is served, and what is served is in it, or it does not compile.
 */
import type { ClientApiName } from '../../protocol/apis.ts'
import type { Handler } from '../services.ts'
import { handleApiVersions } from './api-versions.ts'
import { askController } from './controller-requests.ts'
import { handleDeleteRecords } from './delete-records.ts'
import { handleDescribeCluster } from './describe-cluster.ts'
import { handleDescribeConfigs } from './describe-configs.ts'
import { handleDescribeLogDirs } from './describe-log-dirs.ts'
import { handleDescribeQuorum } from './describe-quorum.ts'
import { handleDescribeTopicPartitions } from './describe-topic-partitions.ts'
import { handleFetch } from './fetch.ts'
import { handleFindCoordinator } from './find-coordinator.ts'
import { oneGroupHandlers } from './group-requests.ts'
import { handleInitProducerId } from './init-producer-id.ts'
import { handleListConfigResources } from './list-config-resources.ts'
import { handleListOffsets } from './list-offsets.ts'
import { handleMetadata } from './metadata.ts'
import { handleOffsetForLeaderEpoch } from './offset-for-leader-epoch.ts'
import { handleProduce } from './produce.ts'
import {
  handleConsumerGroupDescribe,
  handleDeleteGroups,
  handleDescribeGroups,
  handleListGroups,
  handleOffsetFetch,
} from './several-groups.ts'

export const handlers: { readonly [K in ClientApiName]: Handler<K> } = {
  Produce: handleProduce,
  Fetch: handleFetch,
  ListOffsets: handleListOffsets,
  Metadata: handleMetadata,
  ...oneGroupHandlers,
  OffsetFetch: handleOffsetFetch,
  FindCoordinator: handleFindCoordinator,
  DescribeGroups: handleDescribeGroups,
  ListGroups: handleListGroups,
  ApiVersions: handleApiVersions,
  CreateTopics: askController('CreateTopics'),
  DeleteTopics: askController('DeleteTopics'),
  DeleteRecords: handleDeleteRecords,
  InitProducerId: handleInitProducerId,
  OffsetForLeaderEpoch: handleOffsetForLeaderEpoch,
  DescribeConfigs: handleDescribeConfigs,
  AlterConfigs: askController('AlterConfigs'),
  DescribeLogDirs: handleDescribeLogDirs,
  DeleteGroups: handleDeleteGroups,
  CreatePartitions: askController('CreatePartitions'),
  IncrementalAlterConfigs: askController('IncrementalAlterConfigs'),
  DescribeCluster: handleDescribeCluster,
  ConsumerGroupDescribe: handleConsumerGroupDescribe,
  ListConfigResources: handleListConfigResources,
  DescribeTopicPartitions: handleDescribeTopicPartitions,
  ElectLeaders: askController('ElectLeaders'),
  AlterPartitionReassignments: askController('AlterPartitionReassignments'),
  ListPartitionReassignments: askController('ListPartitionReassignments'),
  DescribeQuorum: handleDescribeQuorum,
  RemoveRaftVoter: askController('RemoveRaftVoter'),
  UnregisterBroker: askController('UnregisterBroker'),
  AddRaftVoter: askController('AddRaftVoter'),
  DrainBroker: askController('DrainBroker'),
}
