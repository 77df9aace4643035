/**
 * Administration: topics, configurations, records, replicas and the cluster itself. Control plane. Each job has a file of its
 * own (admin-topics.ts, admin-configs.ts, admin-records.ts, admin-replicas.ts, admin-cluster.ts, admin-groups.ts …); here is what
 * it promises.
 *
 * Methods that take several items do all of them, and throw one `ClientError` when some failed: its `failures` name them,
 * its `code` is that of the first. What has no name there was done.
 *
 * Requests that change something go to the controller (any broker forwards them) and are tried again while it is sure that
 * nothing was done and a later try may succeed (NOT_CONTROLLER, a broker that cannot be reached).
 */
import * as nodes from './admin-cluster.ts'
import type {
  GroupDescription,
  GroupListing,
  GroupOffsets,
  ListGroupOffsetsOptions,
  ListGroupsOptions,
} from './admin-group-types.ts'
import * as groupOffsets from './admin-group-offsets.ts'
import * as groups from './admin-groups.ts'
import * as quorum from './admin-quorum.ts'
import type { VoterOptions } from './admin-quorum.ts'
import type {
  ClusterDescription,
  DrainProgress,
  ElectionResult,
  ElectLeadersOptions,
  LogDirDescription,
  NewReassignment,
  QuorumDescription,
  Reassignment,
  ReassignOptions,
  ReplicaDescription,
} from './admin-cluster-types.ts'
import * as configs from './admin-configs.ts'
import * as records from './admin-records.ts'
import * as replicas from './admin-replicas.ts'
import { AdminRequests } from './admin-requests.ts'
import * as topics from './admin-topics.ts'
import type {
  AdminOptions,
  ConfigChange,
  ConfigDescription,
  ConfigResource,
  CreatedTopic,
  DescribeConfigsOptions,
  ListedOffset,
  ListOffsetsOptions,
  ListOffsetsQuery,
  NewPartitions,
  NewTopic,
  RecordDeletion,
  RemainingRecords,
  TopicDescription,
  TopicListing,
  ValidatingOptions,
} from './admin-types.ts'
import type { Cluster } from './cluster.ts'
import type { TopicPartition } from './consumer-options.ts'
import type { OffsetToCommit } from './group/offsets.ts'

export class Admin {
  readonly #requests: AdminRequests

  constructor(cluster: Cluster) {
    this.#requests = new AdminRequests(cluster)
  }

  /** Creates topics; they can be used at once when it resolves. @throws {ClientError} `TOPIC_ALREADY_EXISTS` and others. */
  createTopics(wanted: readonly NewTopic[], options: ValidatingOptions = {}): Promise<CreatedTopic[]> {
    return topics.createTopics(this.#requests, wanted, options)
  }

  /** @throws {ClientError} `UNKNOWN_TOPIC_OR_PARTITION` and others. */
  deleteTopics(names: readonly string[], options: AdminOptions = {}): Promise<void> {
    return topics.deleteTopics(this.#requests, names, options)
  }

  /** Every topic of the cluster, by name. */
  listTopics(options: AdminOptions & { readonly includeInternal?: boolean } = {}): Promise<TopicListing[]> {
    return topics.listTopics(this.#requests, options)
  }

  /**
   * Topics with their partitions, in the order of the names; with null all, internal ones too, ordered by name.
   *
   * @throws {ClientError} `UNKNOWN_TOPIC_OR_PARTITION` and others.
   */
  describeTopics(names: readonly string[] | null, options: AdminOptions = {}): Promise<TopicDescription[]> {
    return topics.describeTopics(this.#requests, names, options)
  }

  /** Adds partitions to topics. @throws {ClientError} `INVALID_PARTITIONS` and others. */
  createPartitions(wanted: readonly NewPartitions[], options: ValidatingOptions = {}): Promise<void> {
    return topics.createPartitions(this.#requests, wanted, options)
  }

  /** Configurations in the order of the resources. */
  describeConfigs(
    resources: readonly ConfigResource[],
    options: DescribeConfigsOptions = {},
  ): Promise<ConfigDescription[]> {
    return configs.describeConfigs(this.#requests, resources, options)
  }

  /** Sets and removes single keys; what is not named stays as it is. @throws {ClientError} `INVALID_CONFIG` and others. */
  alterConfigs(changes: readonly ConfigChange[], options: ValidatingOptions = {}): Promise<void> {
    return configs.alterConfigs(this.#requests, changes, options)
  }

  /** Deletes records from the beginning of partitions, in the order given. */
  deleteRecords(
    deletions: readonly RecordDeletion[],
    options: AdminOptions = {},
  ): Promise<RemainingRecords[]> {
    return records.deleteRecords(this.#requests, deletions, options)
  }

  /** Offsets in the order of the queries. */
  listOffsets(
    queries: readonly ListOffsetsQuery[],
    options: ListOffsetsOptions = {},
  ): Promise<ListedOffset[]> {
    return records.listOffsets(this.#requests, queries, options)
  }

  /**
   * Size and lag of every replica of topics as their own brokers tell them, in the order of the partitions and their
   * replicas. A broker that does not answer in time makes its replicas unknown (null), not the call fail.
   *
   * @param described - From `describeTopics`.
   */
  describeReplicas(
    described: readonly TopicDescription[],
    options: AdminOptions = {},
  ): Promise<ReplicaDescription[]> {
    return replicas.describeReplicas(this.#requests, described, options)
  }

  /**
   * Elects leaders (KIP-460). An unclean election loses every committed record that the new leader lacks.
   *
   * @param partitions - Null: all; then only those are in the result where there was something to do.
   * @throws {ClientError} `PREFERRED_LEADER_NOT_AVAILABLE`, `ELIGIBLE_LEADERS_NOT_AVAILABLE`,
   *   `UNKNOWN_TOPIC_OR_PARTITION` and others.
   */
  electLeaders(
    partitions: readonly TopicPartition[] | null,
    options: ElectLeadersOptions = {},
  ): Promise<ElectionResult[]> {
    return replicas.electLeaders(this.#requests, partitions, options)
  }

  /**
   * Begins to move partitions to other brokers, or calls that off (KIP-455). Resolves when the moves have begun; they end
   * by themselves when the new replicas are in sync, see `listPartitionReassignments`. Old replicas stay until then.
   *
   * @throws {ClientError} `INVALID_REPLICA_ASSIGNMENT`, `INVALID_REPLICATION_FACTOR`, `NO_REASSIGNMENT_IN_PROGRESS`,
   *   `UNKNOWN_TOPIC_OR_PARTITION` and others.
   */
  alterPartitionReassignments(
    moves: readonly NewReassignment[],
    options: ReassignOptions = {},
  ): Promise<void> {
    return replicas.alterPartitionReassignments(this.#requests, moves, options)
  }

  /** The partitions that are moving now. @param partitions - Null (default): of all. */
  listPartitionReassignments(
    partitions: readonly TopicPartition[] | null = null,
    options: AdminOptions = {},
  ): Promise<Reassignment[]> {
    return replicas.listPartitionReassignments(this.#requests, partitions, options)
  }

  /**
   * The groups of the cluster, ordered by name, as their coordinators know them. All brokers are asked: a list that would lack
   * those of one is a failure.
   *
   * @throws {ClientError} `failures` name brokers; `COORDINATOR_LOAD_IN_PROGRESS` and others if one cannot answer in time.
   */
  listGroups(options: ListGroupsOptions = {}): Promise<GroupListing[]> {
    return groups.listGroups(this.#requests, options)
  }

  /**
   * Groups with their members, in the order of the names, whichever protocol they speak.
   *
   * @throws {ClientError} `GROUP_ID_NOT_FOUND` and others.
   */
  describeGroups(groupIds: readonly string[], options: AdminOptions = {}): Promise<GroupDescription[]> {
    return groups.describeGroups(this.#requests, groupIds, options)
  }

  /**
   * Deletes groups, and all that they have committed.
   *
   * @throws {ClientError} `NON_EMPTY_GROUP` while a group has members, whom the message names; `GROUP_ID_NOT_FOUND` and others.
   */
  deleteGroups(groupIds: readonly string[], options: AdminOptions = {}): Promise<void> {
    return groups.deleteGroups(this.#requests, groupIds, options)
  }

  /** What groups have committed, in the order of the groups, each by topic and partition. @throws {ClientError} */
  listGroupOffsets(
    groupIds: readonly string[],
    options: ListGroupOffsetsOptions = {},
  ): Promise<GroupOffsets[]> {
    return groupOffsets.listGroupOffsets(this.#requests, groupIds, options)
  }

  /**
   * Sets where a group without members goes on. Other partitions keep what was committed; a group that is not there comes to be.
   * Very many offsets, some thousands, are committed in several steps.
   *
   * @throws {ClientError} `NON_EMPTY_GROUP` while the group has members, whom the message names; of single partitions
   *   `UNKNOWN_TOPIC_OR_PARTITION`, `OFFSET_METADATA_TOO_LARGE`, `INVALID_REQUEST` for a negative offset, and others.
   */
  alterGroupOffsets(
    groupId: string,
    offsets: readonly OffsetToCommit[],
    options: AdminOptions = {},
  ): Promise<void> {
    return groupOffsets.alterGroupOffsets(this.#requests, groupId, offsets, options)
  }

  /**
   * Forgets what a group has committed in partitions of topics that none of its members reads.
   *
   * @throws {ClientError} `GROUP_SUBSCRIBED_TO_TOPIC`, `GROUP_ID_NOT_FOUND`, `UNKNOWN_TOPIC_OR_PARTITION` and others.
   */
  deleteGroupOffsets(
    groupId: string,
    partitions: readonly TopicPartition[],
    options: AdminOptions = {},
  ): Promise<void> {
    return groupOffsets.deleteGroupOffsets(this.#requests, groupId, partitions, options)
  }

  /** The cluster as one of its brokers knows it. */
  describeCluster(options: AdminOptions = {}): Promise<ClusterDescription> {
    return nodes.describeCluster(this.#requests, options)
  }

  /**
   * The metadata quorum as its leader knows it.
   *
   * @throws {ClientError} `NOT_CONTROLLER` or `CLIENT_TIMED_OUT` if no leader answers in time.
   */
  describeQuorum(options: AdminOptions = {}): Promise<QuorumDescription> {
    return nodes.describeQuorum(this.#requests, options)
  }

  /**
   * Log directories of the brokers.
   *
   * @param brokerIds - Default: all that live.
   * @throws {ClientError} `CLIENT_BAD_ARGUMENT` for a broker that does not live.
   */
  describeLogDirs(
    brokerIds: readonly number[] | null = null,
    options: AdminOptions = {},
  ): Promise<LogDirDescription[]> {
    return nodes.describeLogDirs(this.#requests, brokerIds, options)
  }

  /**
   * Begins to move the replicas of a broker to others, some with each call; to be called again until `leftCount` is 0.
   * Asking again is harmless, and what has begun goes on by itself. A request of Millrace's own.
   *
   * @throws {ClientError} `BROKER_ID_NOT_REGISTERED`, `CLIENT_UNSUPPORTED_BY_BROKER` and others.
   */
  drainBroker(brokerId: number, options: AdminOptions = {}): Promise<DrainProgress> {
    return nodes.drainBroker(this.#requests, brokerId, options)
  }

  /**
   * Takes a broker out of the cluster that is stopped and holds no replicas.
   *
   * @throws {ClientError} `INVALID_REQUEST` while it lives or holds replicas, `BROKER_ID_NOT_REGISTERED` and others.
   */
  unregisterBroker(brokerId: number, options: AdminOptions = {}): Promise<void> {
    return nodes.unregisterBroker(this.#requests, brokerId, options)
  }

  /**
   * Gives a node a vote in the metadata quorum; resolves when that is committed. It must follow the metadata log already, as
   * every node of the cluster does, and have caught up: that is waited for, as long as `timeoutMs` allows.
   *
   * @throws {ClientError} `DUPLICATE_VOTER` if it votes already, perhaps with a directory that is lost; `REQUEST_TIMED_OUT`
   *   if it has not caught up, or another change is under way; `CLIENT_BAD_ARGUMENT` and others.
   */
  addVoter(nodeId: number, options: VoterOptions = {}): Promise<void> {
    return quorum.addVoter(this.#requests, nodeId, options)
  }

  /**
   * Takes the vote of a node, alive or dead; resolves when that is committed. It goes on as a broker.
   *
   * @throws {ClientError} `INVALID_REQUEST` if the voters left could not agree on anything, since too few of them run;
   *   `VOTER_NOT_FOUND`, `REQUEST_TIMED_OUT` and others.
   */
  removeVoter(nodeId: number, options: VoterOptions = {}): Promise<void> {
    return quorum.removeVoter(this.#requests, nodeId, options)
  }
}
