/**
 * AlterPartition (API key 56): the leader of a partition asks the controller to change its in-sync set. Between brokers
 * only.
 *
 * v1 leader recovery state (KIP-704) · v2 topic ids (KIP-841) · v3 epochs of the in-sync brokers (KIP-903). Version 3 is
 * the only one here: without those epochs a broker that came back empty could be taken for its former self (faults.md
 * RP-9).
 */
import { array, int16, int32, int64, int8, message, struct, uuid } from '../schema/fields.ts'
import type { Infer, InferInput } from '../schema/fields.ts'

export const AlterPartitionRequest = message(
  'AlterPartitionRequest',
  { versions: '3', flexible: '3+' },
  {
    brokerId: int32(),
    brokerEpoch: int64({ fallback: -1 }),
    topics: array(
      struct({
        topicId: uuid({ versions: '2+', ignorable: true }),
        partitions: array(
          struct({
            partitionIndex: int32(),
            leaderEpoch: int32(),
            newIsrWithEpochs: array(
              struct({
                brokerId: int32({ versions: '3+' }),
                brokerEpoch: int64({ versions: '3+', fallback: -1 }), // of the incarnation that caught up
              }),
              { versions: '3+' },
            ),
            leaderRecoveryState: int8({ versions: '1+', fallback: 0 }), // 1 while recovering from an unclean election
            partitionEpoch: int32(), // that the leader knows
          }),
        ),
      }),
    ),
  },
)
export type AlterPartitionRequest = Infer<typeof AlterPartitionRequest>
export type AlterPartitionRequestInput = InferInput<typeof AlterPartitionRequest>

export const AlterPartitionResponse = message(
  'AlterPartitionResponse',
  { versions: '3', flexible: '3+' },
  {
    throttleTimeMs: int32(),
    errorCode: int16(),
    topics: array(
      struct({
        topicId: uuid({ versions: '2+', ignorable: true }),
        partitions: array(
          struct({
            partitionIndex: int32(),
            errorCode: int16(),
            leaderId: int32(),
            leaderEpoch: int32(),
            isr: array(int32()),
            leaderRecoveryState: int8({ versions: '1+', ignorable: true, fallback: 0 }),
            partitionEpoch: int32(),
          }),
        ),
      }),
    ),
  },
)
export type AlterPartitionResponse = Infer<typeof AlterPartitionResponse>
export type AlterPartitionResponseInput = InferInput<typeof AlterPartitionResponse>
