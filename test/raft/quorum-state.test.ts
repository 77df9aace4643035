/** The file that holds the quorum epoch. */
import { expect, it } from 'vitest'
import { ZERO_UUID } from '../../src/bytes/uuid.ts'
import { formatQuorumState, parseQuorumState } from '../../src/raft/quorum-state.ts'

const state = { leaderId: 1, leaderEpoch: 7, votedId: 1, votedDirectoryId: ZERO_UUID }
const text = formatQuorumState(state)

it('has its bytes, and reads back from them', () => {
  expect(text).toBe(
    '{"leaderId":1,"leaderEpoch":7,"votedId":1,"votedDirectoryId":"AAAAAAAAAAAAAAAAAAAAAA","data_version":1,"crc32c":"f38dd9ef"}\n',
  )
  expect(parseQuorumState(text, 'quorum-state')).toEqual(state)
})

it('M10: is refused with any character changed or cut off, so no old epoch is taken for the newest', () => {
  const bytes = new TextEncoder().encode(text.trimEnd())
  for (let position = 0; position < bytes.length; position++) {
    const changed = bytes.slice()
    changed[position]! ^= 1
    const read = (piece: Uint8Array) => () =>
      parseQuorumState(new TextDecoder().decode(piece), 'quorum-state')
    expect(read(changed), `byte ${position}`).toThrow(/^Cannot read quorum-state: /)
    expect(read(bytes.subarray(0, position))).toThrow(/^Cannot read quorum-state: /)
  }
})
