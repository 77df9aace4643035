/**
 * A snapshot of the metadata log on disk, beside it:
 *
 *   <end offset, 20 digits>-<epoch, 10 digits>.checkpoint      the name Kafka gives it (KIP-630)
 *
 *   file := header: control batch (type 3) | [voters: control batch (type 6)] | data batch … | footer: control batch (type 4)
 *
 * Batches are v2 batches as in the log (batches.ts), with offsets that count from 0 and the snapshot's epoch. Each
 * batch's CRC covers its records; offsets and epochs, which it leaves out, must be dense and equal. The footer says
 * that the file is whole. A file that breaks any of this is refused, never read in part (faults.md ST-5).
 *
 * A snapshot is written under another name, synced, renamed and its directory synced, so a crash leaves either no
 * snapshot of this name or a whole one (ST-6).
 */
import type { FileSystem } from '../env/index.ts'
import { readWhole } from '../log/atomic-file.ts'
import { TEMPORARY_SUFFIX } from '../log/file-names.ts'
import {
  assignOffsets,
  baseOffsetAt,
  batchSizeAt,
  leaderEpochAt,
  recordCountAt,
} from '../records/batch-header.ts'
import { findBatchFault } from '../records/batch-validator.ts'
import { CONTROL_TYPES } from '../records/control-batch.ts'
import {
  dataBatch,
  findVoters,
  readBatch,
  snapshotFooterBatch,
  snapshotHeaderBatch,
  votersBatch,
} from './batches.ts'
import { QuorumError } from './metadata-quorum.ts'
import type { QuorumSnapshot } from './metadata-quorum.ts'
import type { VoterSet } from './voter-set.ts'

export interface SnapshotId {
  readonly endOffset: number
  readonly epoch: number
}

/** Bytes of records in one batch of a snapshot: what is encoded in one turn, some 5 ms of work. */
const SNAPSHOT_BATCH_BYTES = 256 * 1024

const FILE_NAME = /^(\d{20})-(\d{10})\.checkpoint$/

export function snapshotFileName({ endOffset, epoch }: SnapshotId): string {
  return `${endOffset.toString().padStart(20, '0')}-${epoch.toString().padStart(10, '0')}.checkpoint`
}

/** The snapshots in a directory, whatever their state, newest first. */
export async function listSnapshots(files: FileSystem, directory: string): Promise<SnapshotId[]> {
  const names = await files.list(directory)
  return names
    .map((name) => FILE_NAME.exec(name))
    .filter((match) => match !== null)
    .map((match) => ({ endOffset: Number(match[1]), epoch: Number(match[2]) }))
    .sort((a, b) => b.endOffset - a.endOffset || b.epoch - a.epoch)
}

/**
 * Writes a snapshot so that it survives a power cut once this resolves. The records are taken batch by batch, with
 * other work in between.
 *
 * @param timestampMs - Wall clock at which the last record in it was appended.
 * @param voters - As the log names them at the snapshot's end; null when no record does.
 * @throws {FileError} No snapshot of this name is there then, or it is whole.
 */
export async function writeSnapshot(
  files: FileSystem,
  directory: string,
  snapshot: QuorumSnapshot,
  timestampMs: number,
  voters: VoterSet | null,
): Promise<void> {
  const path = `${directory}/${snapshotFileName(snapshot)}`
  const temporaryPath = path + TEMPORARY_SUFFIX
  await files.remove(temporaryPath)
  const file = await files.open(temporaryPath, 'create')
  try {
    for (const batch of snapshotBatches(snapshot, timestampMs, voters)) await file.append([batch])
    await file.sync()
  } finally {
    await file.close()
  }
  await files.rename(temporaryPath, path)
  await files.syncDirectory(directory)
}

/** The batches of a snapshot's file, made one by one. */
export function* snapshotBatches(
  snapshot: QuorumSnapshot,
  timestampMs: number,
  voters: VoterSet | null = null,
): IterableIterator<Uint8Array> {
  let offset = 0
  const placed = (batch: Uint8Array): Uint8Array => {
    assignOffsets(batch, 0, offset, snapshot.epoch)
    offset += recordCountAt(batch, 0)
    return batch
  }
  yield placed(snapshotHeaderBatch(timestampMs))
  if (voters !== null) yield placed(votersBatch(voters.voters, timestampMs))
  let waiting: Uint8Array[] = []
  let waitingBytes = 0
  for (const record of snapshot.records) {
    waiting.push(record)
    waitingBytes += record.length
    if (waitingBytes < SNAPSHOT_BATCH_BYTES) continue
    yield placed(dataBatch(waiting, timestampMs))
    waiting = []
    waitingBytes = 0
  }
  if (waiting.length > 0) yield placed(dataBatch(waiting, timestampMs))
  yield placed(snapshotFooterBatch(timestampMs))
}

/**
 * Reads a snapshot, all of it checked before the first record is handed out.
 *
 * @throws {QuorumError} `QUORUM_SNAPSHOT_CORRUPT`, naming file, position, found and expected.
 */
export async function readSnapshot(
  files: FileSystem,
  directory: string,
  id: SnapshotId,
  fileName = snapshotFileName(id),
): Promise<ReadSnapshot> {
  const path = `${directory}/${fileName}`
  const bytes = await readWhole(files, path)
  if (bytes === null) throw corrupt(path, 0, 'the file is missing')
  return { ...id, ...parseSnapshot(bytes, id.epoch, path) }
}

export interface ReadSnapshot extends QuorumSnapshot {
  /** Null when the snapshot names none. */
  readonly voters: VoterSet | null
}

/** The records of a snapshot's file, as views of `bytes`. @throws {QuorumError} `QUORUM_SNAPSHOT_CORRUPT`. */
export function parseSnapshot(
  bytes: Uint8Array,
  epoch: number,
  path: string,
): Pick<ReadSnapshot, 'records' | 'voters'> {
  const records: Uint8Array[] = []
  let voters: VoterSet | null = null
  let position = 0
  let offset = 0
  let isWhole = false
  while (position < bytes.length) {
    if (isWhole) throw corrupt(path, position, `${bytes.length - position} bytes follow the footer`)
    const fault = findBatchFault(bytes, position, bytes.length - position)
    if (fault !== null) throw corrupt(path, position, fault)
    if (baseOffsetAt(bytes, position) !== offset || leaderEpochAt(bytes, position) !== epoch) {
      const found = `offset ${baseOffsetAt(bytes, position)} in epoch ${leaderEpochAt(bytes, position)}`
      throw corrupt(path, position, `the batch has ${found}, expected ${offset} in ${epoch}`)
    }
    const size = batchSizeAt(bytes, position)
    const content = contentAt(bytes, position, size, path)
    if (content.kind === 'data') {
      if (position === 0) throw corrupt(path, 0, 'it does not begin with a snapshot header')
      for (const record of content.records) records.push(record)
    } else if (content.type === CONTROL_TYPES.KRAFT_VOTERS) {
      if (position === 0) throw corrupt(path, 0, 'it does not begin with a snapshot header')
      voters = findVoters(bytes.subarray(position, position + size))
    } else {
      const expected = position === 0 ? CONTROL_TYPES.SNAPSHOT_HEADER : CONTROL_TYPES.SNAPSHOT_FOOTER
      if (content.type !== expected)
        throw corrupt(path, position, `control record ${content.type}, expected ${expected}`)
      isWhole = position > 0
    }
    offset += recordCountAt(bytes, position)
    position += size
  }
  if (!isWhole) throw corrupt(path, position, 'the file ends without a footer')
  return { records, voters }
}

function contentAt(
  bytes: Uint8Array,
  position: number,
  size: number,
  path: string,
): ReturnType<typeof readBatch> {
  try {
    return readBatch(bytes.subarray(position, position + size))
  } catch (error) {
    throw corrupt(path, position, 'the batch has no readable records', error)
  }
}

function corrupt(path: string, position: number, problem: string, cause?: unknown): QuorumError {
  const message = `Cannot read metadata snapshot ${path} at position ${position}: ${problem}`
  return new QuorumError('QUORUM_SNAPSHOT_CORRUPT', message, { cause })
}
