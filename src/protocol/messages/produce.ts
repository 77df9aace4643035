/**
 * Produce (API key 0): appends record batches to partitions.
 *
 * v3 transactional id and record batches v2 (KIP-98) · v4 KAFKA_STORAGE_ERROR (KIP-112) · v5 log start offset in the
 * answer · v7 Zstandard (KIP-110) · v8 errors per record (KIP-467) · v9 flexible (KIP-482) · v10 hint at the current
 * leader (KIP-951) · v11 TRANSACTION_ABORTABLE (KIP-890) · v12 adds partitions to the transaction by itself (KIP-890) ·
 * v13 topic ids instead of names (KIP-516)
 *
 * With `acks` 0 there is no answer. Versions 0 to 2 are advertised and not served, see apis.ts.
 */
import { ZERO_UUID } from '../../bytes/uuid.ts'
import { array, int16, int32, int64, message, records, string, struct, uuid } from '../schema/fields.ts'
import type { Infer, InferInput } from '../schema/fields.ts'

export const ProduceRequest = message(
  'ProduceRequest',
  { versions: '3-13', flexible: '9+' },
  {
    transactionalId: string({ nullable: '3+', fallback: null }),
    acks: int16(), // 0 none, 1 the leader, -1 all in-sync replicas
    timeoutMs: int32(),
    topicData: array(
      struct({
        name: string({ versions: '0-12', ignorable: true, fallback: '' }),
        topicId: uuid({ versions: '13+', ignorable: true, fallback: ZERO_UUID }),
        partitionData: array(
          struct({
            index: int32(),
            records: records({ nullable: '0+' }),
          }),
        ),
      }),
    ),
  },
)
export type ProduceRequest = Infer<typeof ProduceRequest>
export type ProduceRequestInput = InferInput<typeof ProduceRequest>

export const ProduceResponse = message(
  'ProduceResponse',
  { versions: '3-13', flexible: '9+' },
  {
    responses: array(
      struct({
        name: string({ versions: '0-12', ignorable: true, fallback: '' }),
        topicId: uuid({ versions: '13+', ignorable: true, fallback: ZERO_UUID }),
        partitionResponses: array(
          struct({
            index: int32(),
            errorCode: int16(),
            baseOffset: int64(), // of the first record, -1 on error
            logAppendTimeMs: int64({ ignorable: true, fallback: -1 }), // -1 unless the topic stamps on append
            logStartOffset: int64({ versions: '5+', ignorable: true, fallback: -1 }),
            recordErrors: array(
              struct({
                batchIndex: int32(), // the record's place in its batch
                batchIndexErrorMessage: string({ nullable: '8+', fallback: null }),
              }),
              { versions: '8+', ignorable: true, fallback: [] },
            ),
            errorMessage: string({ versions: '8+', nullable: '8+', ignorable: true, fallback: null }),
            currentLeader: struct(
              {
                leaderId: int32({ fallback: -1 }),
                leaderEpoch: int32({ fallback: -1 }),
              },
              { versions: '10+', tag: 0 },
            ),
          }),
        ),
      }),
    ),
    throttleTimeMs: int32({ ignorable: true, fallback: 0 }),
    nodeEndpoints: array(
      struct({
        nodeId: int32(),
        host: string(),
        port: int32(),
        rack: string({ nullable: '10+', fallback: null }),
      }),
      { versions: '10+', tag: 0 },
    ),
  },
)
export type ProduceResponse = Infer<typeof ProduceResponse>
export type ProduceResponseInput = InferInput<typeof ProduceResponse>
