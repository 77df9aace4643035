/**
 * Every setting a topic can have. One table: the typed `TopicConfig`, the checks of CreateTopics and AlterConfigs,
 * DescribeConfigs and docs/configuration.md all come from it.
 *
 * Keys, defaults and synonyms are Kafka's, so that tools find what they look for; `durability` is ours. A Kafka
 * setting whose only supported value is its default is listed as fixed: it is shown, and another value is refused.
 */
import {
  booleanConfig,
  ConfigTable,
  doubleConfig,
  fixedConfig,
  intConfig,
  listConfig,
  longConfig,
  wordConfig,
} from './config-table.ts'
import type { ConfigOf } from './config-table.ts'

const HOUR_MS = 3_600_000
const MINUTE_MS = 60_000
const INT64_MAX_TEXT = '9223372036854775807'

export const topicConfigs = new ConfigTable('topic', {
  durability: wordConfig({
    name: 'durability',
    words: ['disk', 'os', 'memory'],
    fallback: 'disk',
    synonyms: ['log.durability'],
    documentation:
      'What an acknowledgement means at each in-sync replica: disk, the record is on stable storage and survives power loss; os, it is in the page cache and survives a crash of the process; memory, it is never on disk and is lost when the broker stops.',
  }),
  cleanupPolicy: listConfig({
    name: 'cleanup.policy',
    words: ['delete', 'compact'],
    fallback: 'delete',
    synonyms: ['log.cleanup.policy'],
    documentation:
      'How old records go: delete drops segments by retention.ms and retention.bytes; compact keeps of each key its newest record, and wants every record to have a key. Both may be given.',
  }),
  retentionMs: longConfig({
    name: 'retention.ms',
    min: -1,
    fallback: '604800000',
    synonyms: [
      'log.retention.ms',
      { name: 'log.retention.minutes', factor: MINUTE_MS },
      { name: 'log.retention.hours', factor: HOUR_MS },
    ],
    documentation:
      'How long a segment is kept after its newest record, in ms, when cleanup.policy has delete; -1 keeps it for ever.',
  }),
  retentionBytes: longConfig({
    name: 'retention.bytes',
    min: -1,
    fallback: '-1',
    synonyms: ['log.retention.bytes'],
    documentation:
      'How large a partition may grow before its oldest segments go, in bytes, when cleanup.policy has delete; -1 is no limit.',
  }),
  segmentBytes: intConfig({
    name: 'segment.bytes',
    min: 1024,
    fallback: '1073741824',
    synonyms: ['log.segment.bytes'],
    documentation:
      'Size in bytes at which a partition starts a new segment file. Retention drops whole segments.',
  }),
  segmentMs: longConfig({
    name: 'segment.ms',
    min: 1,
    fallback: '604800000',
    synonyms: ['log.roll.ms', { name: 'log.roll.hours', factor: HOUR_MS }],
    documentation:
      'Age in ms at which a partition starts a new segment file even if the last one is not full.',
  }),
  maxMessageBytes: intConfig({
    name: 'max.message.bytes',
    min: 0,
    fallback: '1048588',
    synonyms: ['message.max.bytes'],
    documentation: 'Largest record batch, as sent (compressed), in bytes.',
  }),
  minInsyncReplicas: intConfig({
    name: 'min.insync.replicas',
    min: 1,
    max: 32_767,
    fallback: '1',
    synonyms: ['min.insync.replicas'],
    documentation:
      'How many replicas must be in sync for a write with acks=all to be accepted and acknowledged.',
  }),
  messageTimestampType: wordConfig({
    name: 'message.timestamp.type',
    words: ['CreateTime', 'LogAppendTime'],
    fallback: 'CreateTime',
    synonyms: ['log.message.timestamp.type'],
    documentation:
      'Whether records keep the time the producer gave them or get the time at which the leader appended them.',
  }),
  messageTimestampBeforeMaxMs: longConfig({
    name: 'message.timestamp.before.max.ms',
    min: 0,
    fallback: INT64_MAX_TEXT,
    synonyms: ['log.message.timestamp.before.max.ms'],
    documentation:
      'How far in the past a record may be dated, in ms before the broker’s clock, when message.timestamp.type is CreateTime.',
  }),
  messageTimestampAfterMaxMs: longConfig({
    name: 'message.timestamp.after.max.ms',
    min: 0,
    fallback: '3600000',
    synonyms: ['log.message.timestamp.after.max.ms'],
    documentation:
      'How far in the future a record may be dated, in ms after the broker’s clock, when message.timestamp.type is CreateTime.',
  }),
  uncleanLeaderElectionEnable: booleanConfig({
    name: 'unclean.leader.election.enable',
    fallback: 'false',
    synonyms: ['unclean.leader.election.enable'],
    documentation:
      'Whether a replica that is not in sync may become leader when no other is left: records that were acknowledged are then lost.',
  }),
  indexIntervalBytes: intConfig({
    name: 'index.interval.bytes',
    min: 0,
    fallback: '4096',
    synonyms: ['log.index.interval.bytes'],
    documentation: 'How many bytes of log lie between two entries of its offset index.',
  }),
  segmentIndexBytes: intConfig({
    name: 'segment.index.bytes',
    min: 1024,
    fallback: '10485760',
    synonyms: ['log.index.size.max.bytes'],
    documentation: 'Largest offset index in bytes; a full one makes the partition start a new segment.',
  }),
  fileDeleteDelayMs: longConfig({
    name: 'file.delete.delay.ms',
    min: 0,
    fallback: '60000',
    synonyms: ['log.segment.delete.delay.ms'],
    documentation: 'How long a dropped file stays on disk under another name, in ms.',
  }),
  deleteRetentionMs: longConfig({
    name: 'delete.retention.ms',
    min: 0,
    fallback: '86400000',
    synonyms: ['log.cleaner.delete.retention.ms'],
    documentation:
      'How long compaction keeps a record without value after it has removed what came before it under its key, in ms: a reader that takes longer from the beginning to the end may miss that the key was deleted.',
  }),
  minCleanableDirtyRatio: doubleConfig({
    name: 'min.cleanable.dirty.ratio',
    min: 0,
    max: 1,
    fallback: '0.5',
    synonyms: ['log.cleaner.min.cleanable.ratio'],
    documentation:
      'Share of a partition, of what compaction may look at, that must be new before it is compacted.',
  }),
  minCompactionLagMs: longConfig({
    name: 'min.compaction.lag.ms',
    min: 0,
    fallback: '0',
    synonyms: ['log.cleaner.min.compaction.lag.ms'],
    documentation: 'How long a record stays out of compaction, in ms.',
  }),
  maxCompactionLagMs: longConfig({
    name: 'max.compaction.lag.ms',
    min: 1,
    fallback: INT64_MAX_TEXT,
    synonyms: ['log.cleaner.max.compaction.lag.ms'],
    documentation:
      'How long a record may wait for compaction, in ms, whatever the share of new ones; a segment is closed after this time.',
  }),
  compressionType: fixedConfig({
    name: 'compression.type',
    type: 'string',
    fallback: 'producer',
    synonyms: ['compression.type'],
    reason: 'the broker stores batches as the producer compressed them',
    documentation: 'The broker never compresses anew: a batch keeps the codec its producer chose.',
  }),
  flushMessages: fixedConfig({
    name: 'flush.messages',
    type: 'long',
    fallback: INT64_MAX_TEXT,
    synonyms: ['log.flush.interval.messages'],
    reason: 'durability says when records are synced: with disk, before every acknowledgement',
    documentation: 'Not used: durability says when records are synced to disk.',
  }),
  flushMs: fixedConfig({
    name: 'flush.ms',
    type: 'long',
    fallback: INT64_MAX_TEXT,
    synonyms: ['log.flush.interval.ms'],
    reason: 'durability says when records are synced: with disk, before every acknowledgement',
    documentation: 'Not used: durability says when records are synced to disk.',
  }),
  segmentJitterMs: fixedConfig({
    name: 'segment.jitter.ms',
    type: 'long',
    fallback: '0',
    synonyms: ['log.roll.jitter.ms'],
    reason: 'segments roll at segment.ms exactly',
    documentation: 'Not used: segments roll at segment.ms exactly.',
  }),
  preallocate: fixedConfig({
    name: 'preallocate',
    type: 'boolean',
    fallback: 'false',
    synonyms: ['log.preallocate'],
    reason: 'segment files grow as they are written',
    documentation: 'Not used: segment files grow as they are written.',
  }),
  remoteStorageEnable: fixedConfig({
    name: 'remote.storage.enable',
    type: 'boolean',
    fallback: 'false',
    reason: 'there is no tiered storage',
    documentation: 'Not used: there is no tiered storage.',
  }),
})

/** A topic's settings, parsed. Times in ms, sizes in bytes; -1 in the retention settings is "no limit". */
export type TopicConfig = ConfigOf<typeof topicConfigs.shape>
