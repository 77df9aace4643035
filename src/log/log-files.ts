/**
 * The files of one log's directory: what is there, and their removal in an order that a crash may interrupt.
 *
 * Segments are removed from the end of the log when its end is cut and from the start when its start moves, so what
 * is left in between is always without a hole. Every removal is followed by one directory sync. Control plane.
 */
import type { FileSystem } from '../env/index.ts'
import {
  LEFTOVER_SUFFIXES,
  LOG_SUFFIX,
  OFFSET_INDEX_SUFFIX,
  offsetFileName,
  parseOffsetFileName,
  SNAPSHOT_SUFFIX,
  TIME_INDEX_SUFFIX,
} from './file-names.ts'
import type { LogConfig } from './log-config.ts'
import { Segment, type SegmentPorts } from './segment.ts'

export interface LogFiles {
  /** Base offsets of segments, ascending. */
  readonly baseOffsets: readonly number[]
  /** Offsets of producer snapshots, ascending. */
  readonly snapshots: readonly number[]
  /** Names that no live log has: unfinished atomic writes, indexes without a segment. */
  readonly leftovers: readonly string[]
}

/** Lists what is in a log's directory. Files of other names are left alone: they are not ours. */
export async function listLogFiles(files: FileSystem, directory: string): Promise<LogFiles> {
  const names = await files.list(directory)
  const parsed = names.map((name) => ({ name, file: parseOffsetFileName(name) }))
  const offsetsOf = (suffix: string) =>
    parsed.flatMap(({ file }) => (file?.suffix === suffix ? [file.offset] : []))
  const baseOffsets = offsetsOf(LOG_SUFFIX)
  const withLog = new Set(baseOffsets)
  const leftovers = parsed.flatMap(({ name, file }) => {
    const isOrphan =
      (file?.suffix === OFFSET_INDEX_SUFFIX || file?.suffix === TIME_INDEX_SUFFIX) &&
      !withLog.has(file.offset)
    return isOrphan || LEFTOVER_SUFFIXES.some((suffix) => name.endsWith(suffix)) ? [name] : []
  })
  return { baseOffsets, snapshots: offsetsOf(SNAPSHOT_SUFFIX), leftovers }
}

/** The segments that are there, oldest first; none of their bytes is read. */
export async function openSegments(
  ports: SegmentPorts,
  baseOffsets: readonly number[],
  config: LogConfig,
  nowMs: number,
): Promise<Segment[]> {
  const sizeOf = async (offset: number, suffix: string) =>
    (await ports.files.stat(`${ports.directory}/${offsetFileName(offset, suffix)}`))?.size ?? 0
  const segments: Segment[] = []
  for (const baseOffset of baseOffsets) {
    const log = await sizeOf(baseOffset, LOG_SUFFIX)
    const offsetIndex = await sizeOf(baseOffset, OFFSET_INDEX_SUFFIX)
    const timeIndex = await sizeOf(baseOffset, TIME_INDEX_SUFFIX)
    segments.push(Segment.existing(ports, baseOffset, config, nowMs, { log, offsetIndex, timeIndex }))
  }
  return segments
}

/** Creates the file of a fresh segment, empty, and its name for good. */
export async function createSegmentFile(ports: SegmentPorts, segment: Segment): Promise<void> {
  const file = await ports.files.open(segment.path, 'append')
  await file.close()
  await ports.files.syncDirectory(ports.directory)
}

/** Removes files of segments and snapshots, in the order given, and syncs the directory if any went. */
export async function removeLogFiles(
  ports: SegmentPorts,
  segments: readonly Segment[],
  snapshots: readonly number[],
  leftovers: readonly string[] = [],
): Promise<void> {
  const names = [...snapshots.map((offset) => offsetFileName(offset, SNAPSHOT_SUFFIX)), ...leftovers]
  for (const name of names) await ports.files.remove(`${ports.directory}/${name}`)
  for (const segment of segments) {
    await segment.appendFile?.close()
    segment.appendFile = null
    for (const path of segment.paths) {
      await ports.pool.retire(path)
      await ports.files.remove(path)
    }
  }
  if (segments.length + names.length > 0) await ports.files.syncDirectory(ports.directory)
}
