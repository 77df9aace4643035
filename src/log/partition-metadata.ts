/**
 * `partition.metadata`: the topic id that a log's directory belongs to. Written when the directory is made, before
 * anything else is in it; a directory of an earlier topic of the same name is refused (docs/faults.md RP-21).
 */
import type { FileSystem } from '../env/index.ts'
import { readWhole, writeAtomically } from './atomic-file.ts'
import { PARTITION_METADATA } from './file-names.ts'
import { LogError } from './log-error.ts'
import { formatPartitionMetadata, parsePartitionMetadata } from './meta-properties.ts'

/** Makes the directory if it is missing, and its name and topic id for good. @throws {LogError} `LOG_WRONG_TOPIC` */
export async function claimDirectory(files: FileSystem, directory: string, topicId: string): Promise<void> {
  const stat = await files.stat(directory)
  if (stat === null) {
    await files.makeDirectory(directory)
    await files.syncDirectory(directory.slice(0, Math.max(1, directory.lastIndexOf('/'))))
  }
  const found = stat === null ? null : await readTopicId(files, directory)
  if (found === null)
    return writeAtomically(files, directory, PARTITION_METADATA, formatPartitionMetadata(topicId))
  if (found !== topicId) {
    throw new LogError(
      'LOG_WRONG_TOPIC',
      `Opened the log ${directory}: it belongs to topic id ${found}, wanted ${topicId}`,
    )
  }
}

/** The topic id that a log's directory names, or null when it names none that can be read. */
export async function readTopicId(files: FileSystem, directory: string): Promise<string | null> {
  const content = await readWhole(files, `${directory}/${PARTITION_METADATA}`)
  return content && parsePartitionMetadata(content)
}
