/**
 * OffsetCommit records (Kafka's coordinator record 1): the offset that a group committed for one partition. A record without
 * a value takes the offset back.
 *
 * v1 carries an expiry of its own (OffsetCommit requests before v5) · v3 leader epoch (KIP-320) · v4 flexible, topic id
 *
 * We write v4. The topic id keeps an offset from answering for a later topic of the same name (faults.md CG-9); it is zero
 * in records of earlier versions, which then can only be matched by name.
 */
import { ZERO_UUID } from '../../bytes/uuid.ts'
import { int32, int64, message, string, uuid } from '../../protocol/schema/fields.ts'

export const OffsetCommitKey = message(
  'OffsetCommitKey',
  { versions: '0', flexible: 'none' },
  { group: string(), topic: string(), partition: int32() },
)

export const OffsetCommitValue = message(
  'OffsetCommitValue',
  { versions: '0-4', flexible: '4+' },
  {
    offset: int64(), // of the next record to be read
    leaderEpoch: int32({ versions: '3+', ignorable: true, fallback: -1 }), // of the last record that was read; -1 unknown
    metadata: string(),
    commitTimestamp: int64(), // wall clock, ms
    expireTimestamp: int64({ versions: '1', ignorable: true, fallback: -1 }), // wall clock, ms; -1 by retention
    topicId: uuid({ versions: '4+', tag: 0, ignorable: true, fallback: ZERO_UUID }),
  },
)
