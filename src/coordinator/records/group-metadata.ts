/**
 * GroupMetadata records (Kafka's coordinator record 2): a whole group of the classic protocol, its members and what they
 * were assigned in the generation. A record without a value removes the group; its offsets are records of their own.
 *
 * v1 rebalance time-out of members · v2 when the state last changed · v3 static members (KIP-345) · v4 flexible
 *
 * We write v3, as Kafka does: v4 adds nothing but room for tagged fields.
 */
import { array, bytes, int32, int64, message, string, struct } from '../../protocol/schema/fields.ts'

export const GroupMetadataKey = message(
  'GroupMetadataKey',
  { versions: '0', flexible: 'none' },
  { group: string() },
)

export const GroupMetadataValue = message(
  'GroupMetadataValue',
  { versions: '0-4', flexible: '4+' },
  {
    protocolType: string(),
    generation: int32(),
    protocol: string({ nullable: '0+' }), // null while the group has no members
    leader: string({ nullable: '0+' }), // member id
    currentStateTimestamp: int64({ versions: '2+', ignorable: true, fallback: -1 }), // wall clock, ms
    members: array(
      struct({
        memberId: string(),
        groupInstanceId: string({ versions: '3+', nullable: '3+', ignorable: true, fallback: null }),
        clientId: string(),
        clientHost: string(),
        rebalanceTimeout: int32({ versions: '1+', ignorable: true, fallback: -1 }), // ms
        sessionTimeout: int32(), // ms
        subscription: bytes(), // metadata of the member for the chosen protocol
        assignment: bytes(),
      }),
    ),
  },
)
