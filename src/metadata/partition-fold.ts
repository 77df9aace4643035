/**
 * The fold of one partition: what its records may say, and what they make of it. Epochs rise here and nowhere else,
 * so that whoever compares them can rely on it (faults.md M9).
 */
import { ZERO_UUID } from '../bytes/uuid.ts'
import type { PartitionImage } from './cluster-image.ts'
import { MetadataError } from './metadata-error.ts'
import type { RecordOfKind } from './records.ts'

/** In a record: the partition has no leader. */
export const NO_LEADER = -1
/** In a change: the leader stays, and so does its epoch. */
export const LEADER_UNCHANGED = -2

/** @throws {MetadataError} `METADATA_RECORD_INVALID`. */
export function newPartition(topicName: string, record: RecordOfKind<'partition'>): PartitionImage {
  if (record.leaderEpoch < 0 || record.partitionEpoch < 0) {
    throw invalid(
      topicName,
      record.partitionId,
      `epochs ${record.leaderEpoch} and ${record.partitionEpoch} must be at least 0`,
    )
  }
  return checked(topicName, record.partitionId, {
    leader: record.leader === NO_LEADER ? null : record.leader,
    leaderEpoch: record.leaderEpoch,
    partitionEpoch: record.partitionEpoch,
    replicas: record.replicas,
    isr: record.isr,
    removingReplicas: record.removingReplicas,
    addingReplicas: record.addingReplicas,
    isRecovering: record.leaderRecoveryState === 1,
    directories: record.directories.length === 0 ? record.replicas.map(() => ZERO_UUID) : record.directories,
    eligibleLeaderReplicas: record.eligibleLeaderReplicas ?? [],
    lastKnownEligibleLeaders: record.lastKnownElr ?? [],
  })
}

/** @throws {MetadataError} `METADATA_RECORD_INVALID`. */
export function changePartition(
  topicName: string,
  before: PartitionImage,
  change: RecordOfKind<'partitionChange'>,
): PartitionImage {
  const changesLeader = change.leader !== LEADER_UNCHANGED
  const replicas = change.replicas ?? before.replicas
  const directories =
    change.directories ?? (change.replicas === null ? before.directories : moveDirectories(before, replicas))
  return checked(topicName, change.partitionId, {
    leader: changesLeader ? (change.leader === NO_LEADER ? null : change.leader) : before.leader,
    leaderEpoch: before.leaderEpoch + (changesLeader ? 1 : 0),
    partitionEpoch: before.partitionEpoch + 1,
    replicas,
    isr: change.isr ?? before.isr,
    removingReplicas: change.removingReplicas ?? before.removingReplicas,
    addingReplicas: change.addingReplicas ?? before.addingReplicas,
    isRecovering: change.leaderRecoveryState === -1 ? before.isRecovering : change.leaderRecoveryState === 1,
    directories,
    eligibleLeaderReplicas: change.eligibleLeaderReplicas ?? before.eligibleLeaderReplicas,
    lastKnownEligibleLeaders: change.lastKnownElr ?? before.lastKnownEligibleLeaders,
  })
}

/** A replica that stays keeps its directory; a new one has none yet. */
function moveDirectories(before: PartitionImage, replicas: readonly number[]): readonly string[] {
  return replicas.map((replica) => before.directories[before.replicas.indexOf(replica)] ?? ZERO_UUID)
}

function checked(topicName: string, index: number, partition: PartitionImage): PartitionImage {
  const { replicas, isr, leader, directories } = partition
  const known = new Set(replicas)
  if (replicas.length === 0) throw invalid(topicName, index, 'it has no replica')
  if (known.size < replicas.length) throw invalid(topicName, index, `its replicas ${replicas.join()} repeat`)
  if (replicas.some((replica) => replica < 0))
    throw invalid(topicName, index, `its replicas ${replicas.join()} are no broker ids`)
  // Both sets may be empty: then nobody is known to have everything, and nobody leads.
  const { eligibleLeaderReplicas: elr } = partition
  if (elr.some((replica) => !known.has(replica) || isr.includes(replica)) || new Set(elr).size < elr.length) {
    throw invalid(
      topicName,
      index,
      `its eligible leader replicas ${elr.join()} must be replicas outside the in-sync ones ${isr.join()}`,
    )
  }
  if (isr.some((replica) => !known.has(replica)) || new Set(isr).size < isr.length) {
    throw invalid(
      topicName,
      index,
      `its in-sync replicas ${isr.join()} are not a part of its replicas ${replicas.join()}`,
    )
  }
  if (leader !== null && !isr.includes(leader)) {
    throw invalid(topicName, index, `its leader ${leader} is not one of its in-sync replicas ${isr.join()}`)
  }
  if (directories.length !== replicas.length) {
    throw invalid(
      topicName,
      index,
      `it has ${directories.length} directories for ${replicas.length} replicas`,
    )
  }
  return Object.freeze(partition)
}

function invalid(topicName: string, index: number, problem: string): MetadataError {
  return new MetadataError(
    'METADATA_RECORD_INVALID',
    `Cannot apply a record of partition ${topicName}-${index}: ${problem}`,
  )
}
