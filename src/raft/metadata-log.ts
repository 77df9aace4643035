/**
 * Opens what a node has on disk of the metadata log, and decides whether it can be believed: log, snapshots and
 * `quorum-state` must fit together, or the node does not start (faults.md ST-5, M10). What is damaged stays as it is,
 * for whoever has to look at it.
 */
import type { FileSystem, Logger } from '../env/index.ts'
import { LOG_SUFFIX } from '../log/file-names.ts'
import { DEFAULT_LOG_CONFIG } from '../log/log-config.ts'
import type { LogConfig, LogPorts } from '../log/log-config.ts'
import { PartitionLog } from '../log/partition-log.ts'
import { QuorumError } from './metadata-quorum.ts'
import { METADATA_TOPIC, readRecoveryPoint } from './recovery-point.ts'
import { NO_STATE, QUORUM_STATE_FILE, readQuorumState } from './quorum-state.ts'
import type { QuorumState } from './quorum-state.ts'
import { listSnapshots, readSnapshot, snapshotFileName } from './snapshot-file.ts'
import type { ReadSnapshot, SnapshotId } from './snapshot-file.ts'
import { findInstall, finishInstall } from './snapshot-install.ts'

/** Kafka's id and directory of the metadata log. */
export const METADATA_TOPIC_ID = 'AAAAAAAAAAAAAAAAAAAAAQ'
export const METADATA_DIRECTORY = `${METADATA_TOPIC}-0`

/** The log is cut by whole segments; a batch larger than this gets one of its own. */
const SEGMENT_BYTES = 16 * 1024 * 1024

export interface OpenedMetadataLog {
  readonly log: PartitionLog
  readonly directory: string
  /** Epoch and vote of the last run; the epoch is at least that of any record here. */
  readonly state: QuorumState
  /** Where replay begins; null: at offset 0. */
  readonly snapshot: ReadSnapshot | null
  /** Newest first. */
  readonly snapshots: readonly SnapshotId[]
}

/**
 * Whether a node has never taken part in a quorum with its data directory, whatever it has tried: it has no record, no
 * snapshot, and has reached no epoch, so it has voted for nobody either.
 *
 * @param dataDirectory - Absolute path; locked by the caller.
 */
export async function hasNoPart(files: FileSystem, dataDirectory: string): Promise<boolean> {
  const directory = `${dataDirectory}/${METADATA_DIRECTORY}`
  if ((await files.stat(directory)) === null) return true
  for (const name of await files.list(directory)) {
    if (name === QUORUM_STATE_FILE || name.includes('.checkpoint')) return false
    if (name.endsWith(LOG_SUFFIX) && (await files.stat(`${directory}/${name}`))!.size > 0) return false
  }
  return true
}

/**
 * @throws {QuorumError} `QUORUM_STATE_CORRUPT`, `QUORUM_SNAPSHOT_CORRUPT`, `QUORUM_LOG_CORRUPT`.
 * @throws {LogError} `LOG_CORRUPT`.
 */
export async function openMetadataLog(
  ports: LogPorts,
  options: { readonly directory: string; readonly segmentBytes?: number },
): Promise<OpenedMetadataLog> {
  const { files, logger } = ports
  const directory = `${options.directory}/${METADATA_DIRECTORY}`
  await files.makeDirectory(directory)
  await files.syncDirectory(options.directory)
  const state = await readQuorumState(files, directory)
  const installing = await findInstall(files, directory)
  const snapshots = await listSnapshots(files, directory)
  const flushedOffset = Math.max(await readRecoveryPoint(files, directory), snapshots[0]?.endOffset ?? 0)
  const log = await PartitionLog.open(ports, {
    directory,
    topic: METADATA_TOPIC,
    partition: 0,
    topicId: METADATA_TOPIC_ID,
    config: logConfig(options.segmentBytes ?? SEGMENT_BYTES),
    // A snapshot holds committed records only: a log that ends before one has lost some, and is refused. Unless the
    // snapshot was about to take the log's place.
    recoveryPoint: installing === null ? flushedOffset : 0,
    // The log begins where its files begin: no snapshot's name, which may be wrong, decides what is removed.
    logStartOffset: 0,
    wasClosedCleanly: false,
  })
  try {
    if (state === null && (log.logEndOffset > 0 || snapshots.length > 0)) {
      const message = `Cannot start from ${directory}: there is metadata but no quorum-state, so its epochs are unknown`
      throw new QuorumError('QUORUM_STATE_CORRUPT', message)
    }
    // Durable before any record of the epoch is: a later one in the log is damage, and would win every election (ST-3).
    if (state !== null && log.latestEpoch > state.leaderEpoch) {
      const message = `Cannot start from ${directory}: the log has the epoch ${log.latestEpoch}, and quorum-state knows none after ${state.leaderEpoch}`
      throw new QuorumError('QUORUM_LOG_CORRUPT', message)
    }
    if (installing !== null) await finishInstall(files, directory, installing, log)
    const snapshot = await newestUsable(ports, directory, log.logStartOffset, snapshots)
    const epoch = Math.max(state?.leaderEpoch ?? 0, log.latestEpoch, snapshots[0]?.epoch ?? 0)
    logger.info('Metadata log is open', { directory, epoch, logEndOffset: log.logEndOffset })
    const isKnown = state !== null && state.leaderEpoch === epoch
    return {
      log,
      directory,
      snapshot,
      snapshots,
      state: isKnown ? state : { ...NO_STATE, leaderEpoch: epoch },
    }
  } catch (error) {
    await log.close()
    throw error
  }
}

/**
 * The newest snapshot that is whole and that the log continues. Any other with all the log behind it gives the same
 * state, and so does no snapshot when the log begins at offset 0.
 */
async function newestUsable(
  ports: { readonly files: LogPorts['files']; readonly logger: Logger },
  directory: string,
  logStartOffset: number,
  ids: readonly SnapshotId[],
): Promise<ReadSnapshot | null> {
  let damage: unknown = null
  for (const id of ids) {
    if (id.endOffset < logStartOffset) break
    try {
      return await readSnapshot(ports.files, directory, id)
    } catch (error) {
      if (!(error instanceof QuorumError)) throw error
      ports.logger.error('Metadata snapshot is damaged', { file: snapshotFileName(id), error })
      damage = error
    }
  }
  if (logStartOffset === 0) return null
  const problem = damage === null ? 'there is no snapshot' : 'every snapshot is damaged'
  throw new QuorumError(
    'QUORUM_SNAPSHOT_CORRUPT',
    `Cannot start from ${directory}: the log begins at offset ${logStartOffset}, but ${problem} of what came before`,
    { cause: damage },
  )
}

function logConfig(segmentBytes: number): LogConfig {
  return {
    ...DEFAULT_LOG_CONFIG,
    durability: 'disk',
    segmentBytes,
    // Snapshots decide what goes, never age or size.
    retentionMs: -1,
    retentionBytes: -1,
    deletesOldSegments: false,
    segmentMs: Number.MAX_SAFE_INTEGER,
  }
}
