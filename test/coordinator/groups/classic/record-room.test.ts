/** How much the log of groups holds of the largest ones. */
import { expect, test } from 'vitest'
import { OFFSETS_BATCH_BYTES_MAX } from '../../../../src/broker/coordinator/offsets-topic.ts'
import { batchBytesOf } from '../../../../src/coordinator/batch-size.ts'
import { DEFAULT_GROUP_CONFIG } from '../../../../src/coordinator/group-config.ts'
import { ClassicMember } from '../../../../src/coordinator/groups/classic/classic-member.ts'
import { groupRecord, groupRecordValue } from '../../../../src/coordinator/groups/classic/group-record.ts'
import { MemberTable } from '../../../../src/coordinator/groups/classic/member-table.ts'
import { RecordRoom } from '../../../../src/coordinator/groups/classic/record-room.ts'
import { UNCOMMITTED_BYTES_MAX } from '../../../../src/coordinator/shard-writer.ts'

const ASSIGNED_BYTES = 100

/** Members of a usual size: what they say of themselves is of 80 bytes. */
function tableOf(count: number): MemberTable {
  const table = new MemberTable()
  for (let index = 0; index < count; index++) {
    const id = `client-${String(index).padStart(36, '0')}`
    const protocols = new Map([['range', new Uint8Array(80)]])
    const member = new ClassicMember(id, null, {
      ...{
        clientId: 'client',
        clientHost: '/192.168.100.100',
        sessionTimeoutMs: 1,
        rebalanceTimeoutMs: 1,
        protocols,
      },
    })
    member.assignment = new Uint8Array(ASSIGNED_BYTES)
    table.add(member)
  }
  return table
}

function bytesOf(table: MemberTable): number {
  const value = groupRecordValue({
    ...{
      protocolType: 'consumer',
      generation: 1,
      protocolName: 'range',
      leaderId: 'leader',
      stateSinceMs: 1,
    },
    ...{ members: table, assigned: ({ assignment }: ClassicMember) => assignment },
  })
  return batchBytesOf([groupRecord('g', value)])
}

test('a classic group of the largest size is let in whole, and its record fits', () => {
  const table = tableOf(DEFAULT_GROUP_CONFIG.groupSizeMax - 1)
  const [someone] = table
  const room = new RecordRoom(table, 'g', 'consumer', OFFSETS_BATCH_BYTES_MAX)
  expect(room.fits(null, { groupInstanceId: null, memberId: someone!.id }, someone!.claim)).toBe(true)
  const assignments = Array.from(table, ({ id, assignment }) => ({ memberId: id, assignment }))
  expect(room.canHold(assignments)).toBe(true)
  expect(bytesOf(table)).toBeLessThan(OFFSETS_BATCH_BYTES_MAX)
  expect(OFFSETS_BATCH_BYTES_MAX).toBeLessThanOrEqual(UNCOMMITTED_BYTES_MAX / 2)
})

test('what is said to fit is never more than what is written', () => {
  const table = tableOf(1_000)
  const assigned = 1_000 * ASSIGNED_BYTES
  const written = bytesOf(table)
  expect(written - table.recordBytes - assigned).toBeLessThan(256)
  // One that holds no more than this says so.
  const assignments = Array.from(table, ({ id, assignment }) => ({ memberId: id, assignment }))
  expect(new RecordRoom(table, 'g', 'consumer', written).canHold(assignments)).toBe(false)
})
