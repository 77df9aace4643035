/**
 * Names of files and directories in a data directory, as Kafka has them.
 *
 *   <topic>-<partition>/                      one log
 *   <topic>-<partition>.<32 hex>-delete/      a deleted log on its way out
 *   <topic>-<partition>.<32 hex>-stray/       a log that no topic of the cluster claims
 *     <20 digits>.log .index .timeindex       a segment; the digits are its base offset
 *     <20 digits>.snapshot                    producer state of all below that offset
 *     <20 digits>.log.cleaned                 a segment that compaction is writing, or never ended
 *     <20 digits>.log.swap                    a segment that takes the place of others: `segment-swap.ts`
 *     *.tmp                                   an atomic write that never ended; `.deleted`: Kafka's leftovers
 *
 * A topic's name never becomes a path unless `isSafeTopicName` holds, whatever layer above has checked (faults.md X21).
 */
import { assert } from '../base/assert.ts'

export const LOG_SUFFIX = '.log'
export const OFFSET_INDEX_SUFFIX = '.index'
export const TIME_INDEX_SUFFIX = '.timeindex'
export const SNAPSHOT_SUFFIX = '.snapshot'
export const TEMPORARY_SUFFIX = '.tmp'
/** Behind `.log`: see `segment-swap.ts`. */
export const CLEANED_SUFFIX = '.cleaned'
export const SWAP_SUFFIX = '.swap'
export const DELETED_DIRECTORY_SUFFIX = '-delete'
export const STRAY_DIRECTORY_SUFFIX = '-stray'

export const EPOCH_CHECKPOINT = 'leader-epoch-checkpoint'
export const PARTITION_METADATA = 'partition.metadata'
export const RECOVERY_POINT_CHECKPOINT = 'recovery-point-offset-checkpoint'
export const HIGH_WATERMARK_CHECKPOINT = 'replication-offset-checkpoint'
export const LOG_START_CHECKPOINT = 'log-start-offset-checkpoint'
export const CLEANER_CHECKPOINT = 'cleaner-offset-checkpoint'
export const META_PROPERTIES = 'meta.properties'
export const CLEAN_SHUTDOWN = '.kafka_cleanshutdown'
export const NO_FAILURE = '.millrace_no_failure'

/** Suffixes of files that no live log has, once its swaps are finished: removed when it is opened (docs/faults.md D7). */
export const LEFTOVER_SUFFIXES: readonly string[] = [
  TEMPORARY_SUFFIX,
  '.deleted',
  CLEANED_SUFFIX,
  SWAP_SUFFIX,
]

const OFFSET_DIGITS = 20
const NAME_LENGTH_MAX = 255
const TOPIC_NAME = /^[a-zA-Z0-9._-]{1,249}$/
const LOG_DIRECTORY_NAME = /^(.+)-(\d{1,10})$/
const DELETED_DIRECTORY_NAME = /^.+\.[0-9a-f]{32}-delete$/
const OFFSET_FILE_NAME = /^(\d{20})(\.log|\.index|\.timeindex|\.snapshot)$/

/** @param suffix - One of the suffixes above. */
export function offsetFileName(offset: number, suffix: string): string {
  return offset.toString().padStart(OFFSET_DIGITS, '0') + suffix
}

/** The offset and suffix of a name made by `offsetFileName`, or null for any other name. */
export function parseOffsetFileName(
  name: string,
): { readonly offset: number; readonly suffix: string } | null {
  const match = OFFSET_FILE_NAME.exec(name)
  if (match === null) return null
  const offset = Number(match[1])
  return Number.isSafeInteger(offset) ? { offset, suffix: match[2]! } : null
}

export function isSafeTopicName(topic: string): boolean {
  return TOPIC_NAME.test(topic) && topic !== '.' && topic !== '..'
}

export function logDirectoryName(topic: string, partition: number): string {
  assert(
    isSafeTopicName(topic),
    `A topic's directory is named after it: ${JSON.stringify(topic)} is no safe name`,
  )
  return `${topic}-${partition}`
}

/** The topic and partition of a log's directory, or null for any other name. */
export function parseLogDirectoryName(
  name: string,
): { readonly topic: string; readonly partition: number } | null {
  const match = LOG_DIRECTORY_NAME.exec(name)
  if (match === null || isDeletedDirectoryName(name)) return null
  const partition = Number(match[2])
  return isSafeTopicName(match[1]!) && partition < 2 ** 31 ? { topic: match[1]!, partition } : null
}

/** @param unique - 32 hex digits that no other deletion of this name had. */
export function deletedDirectoryName(topic: string, partition: number, unique: string): string {
  const tail = `-${partition}.${unique}${DELETED_DIRECTORY_SUFFIX}`
  return topic.slice(0, NAME_LENGTH_MAX - tail.length) + tail
}

/** A log that no topic claims, kept for an operator. @param unique - As for `deletedDirectoryName`. */
export function strayDirectoryName(topic: string, partition: number, unique: string): string {
  const tail = `-${partition}.${unique}${STRAY_DIRECTORY_SUFFIX}`
  return topic.slice(0, NAME_LENGTH_MAX - tail.length) + tail
}

export function isDeletedDirectoryName(name: string): boolean {
  return DELETED_DIRECTORY_NAME.test(name)
}

/** 32 hex digits, as Kafka has them in the names of directories on their way out. */
export function uniqueDigits(random: { below(limit: number): number }): string {
  let text = ''
  while (text.length < 32) text += random.below(0x10000).toString(16).padStart(4, '0')
  return text
}
