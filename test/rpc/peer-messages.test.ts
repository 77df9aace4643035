import { describe, expect, test } from 'vitest'
import { DecodeError } from '../../src/bytes/decode-error.ts'
import { Prng } from '../../src/env/sim/prng.ts'
import { encodeRequest } from '../../src/protocol/frame.ts'
import {
  decodePeerMessage,
  encodePeerMessage,
  HANDSHAKE_BYTES_MAX,
  refusalMessage,
  refusalReason,
} from '../../src/rpc/peer-messages.ts'
import type { PeerMessage } from '../../src/rpc/peer-messages.ts'
import { seedFromEnv } from '../support/seed.ts'

const ID = 'disk1of1xxxxxxxxxxxxxA'
const MESSAGES: readonly PeerMessage[] = [
  {
    kind: 'PeerHello',
    versionMin: 1,
    versionMax: 3,
    clusterId: 'clusterclusterclusterA',
    fromNodeId: 1,
    fromDirectoryId: ID,
    fromIncarnationId: ID,
    toNodeId: 2,
    purpose: 2,
    nonce: ID,
  },
  {
    kind: 'PeerChallenge',
    version: 1,
    clusterId: 'clusterclusterclusterA',
    nodeId: 2,
    directoryId: ID,
    incarnationId: ID,
    nonce: ID,
  },
  { kind: 'PeerProof', proof: new Uint8Array(32).fill(7) },
  { kind: 'PeerWelcome', proof: new Uint8Array(0) },
  { kind: 'PeerRefusal', code: 2, reason: 'because' },
]

describe('messages of the handshake', () => {
  test('come back as they were sent, in few bytes', () => {
    for (const message of MESSAGES) {
      const frame = encodePeerMessage(message)
      expect(decodePeerMessage(frame)).toEqual(message)
      expect(frame.length).toBeLessThan(HANDSHAKE_BYTES_MAX / 3)
    }
  })

  test('a refusal keeps its code, and its reason fits the bound in any script', () => {
    const refusal = { code: 'PEER_WRONG_CLUSTER', reason: '箱'.repeat(1000) } as const
    const frame = encodePeerMessage(refusalMessage(refusal))
    expect(frame.length).toBeLessThanOrEqual(HANDSHAKE_BYTES_MAX)
    const back = decodePeerMessage(frame)
    expect(back.kind === 'PeerRefusal' && refusalReason(back).code).toBe('PEER_WRONG_CLUSTER')
  })

  test('a refusal that is not known here is one all the same', () => {
    expect(refusalReason({ kind: 'PeerRefusal', code: 999, reason: 'news' })).toEqual({
      code: 'PEER_REFUSED',
      reason: 'news',
    })
  })

  test('X12: no request of a client is one, nor is anything empty, cut, too long or followed by more', () => {
    const request = Buffer.concat(encodeRequest('ApiVersions', 3, 1, 'client', {}))
    const frames = [request, new Uint8Array(0), new Uint8Array(HANDSHAKE_BYTES_MAX + 1).fill(0x4d)]
    for (const message of MESSAGES) {
      const frame = encodePeerMessage(message)
      for (let size = 0; size < frame.length; size++) frames.push(frame.slice(0, size))
      frames.push(Uint8Array.from([...frame, 0]))
    }
    for (const frame of frames) expect(() => decodePeerMessage(frame)).toThrow(DecodeError)
  })

  test('X32: whatever the bytes, reading them ends with a message or with DecodeError', () => {
    const random = new Prng(seedFromEnv('peer messages'), 'fuzz')
    for (let round = 0; round < 5000; round++) {
      const frame = encodePeerMessage(MESSAGES[random.below(MESSAGES.length)]!).slice()
      for (let flips = 1 + random.below(4); flips > 0; flips--)
        frame[random.below(frame.length)] = random.below(256)
      try {
        decodePeerMessage(frame)
      } catch (error) {
        expect(error).toBeInstanceOf(DecodeError)
      }
    }
  })
})
