/**
 * ListOffsets (API key 2): resolves a timestamp to an offset, per partition.
 *
 * v1 one offset and its timestamp (KIP-79) · v2 isolation level (KIP-98) · v3 throttles after the answer (KIP-219) ·
 * v4 leader epoch for fencing (KIP-320) · v5 OFFSET_NOT_AVAILABLE (KIP-207) · v6 flexible (KIP-482) · v7 offset of the
 * largest timestamp, as -3 (KIP-734) · v8 start of the local log, as -4 (KIP-405) · v9 last tiered offset, as -5
 * (KIP-1005) · v10 timeout for remote lookups (KIP-1075) · v11 earliest offset not yet uploaded, as -6 (KIP-1023)
 */
import { array, int16, int32, int64, int8, message, string, struct } from '../schema/fields.ts'
import type { Infer, InferInput } from '../schema/fields.ts'

export const ListOffsetsRequest = message(
  'ListOffsetsRequest',
  { versions: '1-11', flexible: '6+' },
  {
    replicaId: int32(), // broker id of a follower, -1 from a consumer
    isolationLevel: int8({ versions: '2+', fallback: 0 }), // 0 read uncommitted, 1 read committed
    topics: array(
      struct({
        name: string(),
        partitions: array(
          struct({
            partitionIndex: int32(),
            currentLeaderEpoch: int32({ versions: '4+', ignorable: true, fallback: -1 }), // -1 skips fencing
            timestamp: int64(), // ms since the Unix epoch, or -1 latest, -2 earliest
          }),
        ),
      }),
    ),
    timeoutMs: int32({ versions: '10+', ignorable: true, fallback: 0 }),
  },
)
export type ListOffsetsRequest = Infer<typeof ListOffsetsRequest>
export type ListOffsetsRequestInput = InferInput<typeof ListOffsetsRequest>

export const ListOffsetsResponse = message(
  'ListOffsetsResponse',
  { versions: '1-11', flexible: '6+' },
  {
    throttleTimeMs: int32({ versions: '2+', ignorable: true, fallback: 0 }),
    topics: array(
      struct({
        name: string(),
        partitions: array(
          struct({
            partitionIndex: int32(),
            errorCode: int16(),
            timestamp: int64({ fallback: -1 }),
            offset: int64({ fallback: -1 }),
            leaderEpoch: int32({ versions: '4+', fallback: -1 }),
          }),
        ),
      }),
    ),
  },
)
export type ListOffsetsResponse = Infer<typeof ListOffsetsResponse>
export type ListOffsetsResponseInput = InferInput<typeof ListOffsetsResponse>
