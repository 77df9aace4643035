/** What one connection may have under way together. */
import { expect, it } from 'vitest'
import { overlapOf, overlaps } from '../../src/broker/overlapping.ts'
import { apis } from '../../src/protocol/apis.ts'
import type { ClientApiName } from '../../src/protocol/apis.ts'

function kindOf(name: ClientApiName): number | null {
  return overlapOf(Uint8Array.of(apis[name].key >> 8, apis[name].key & 0xff, 0, 1))
}

it('is batches with batches, and commits with commits and heartbeats', () => {
  expect(kindOf('Produce')).not.toBeNull()
  expect(kindOf('OffsetCommit')).not.toBeNull()
  expect(kindOf('OffsetCommit')).not.toBe(kindOf('Produce'))
  expect(kindOf('Heartbeat')).toBe(kindOf('OffsetCommit'))
  expect(kindOf('ConsumerGroupHeartbeat')).toBe(kindOf('OffsetCommit'))
})

it('is nothing that reads, or waits for others: those wait for all before them', () => {
  for (const name of ['Fetch', 'OffsetFetch', 'ListOffsets', 'JoinGroup', 'SyncGroup', 'Metadata'] as const) {
    expect(kindOf(name)).toBeNull()
    expect(overlaps(name)).toBe(false)
  }
})

it('is nothing that is no request', () => {
  for (const frame of [[], [0], [1, 0], [1, 8], [255, 0]])
    expect(overlapOf(Uint8Array.from(frame))).toBeNull()
})
