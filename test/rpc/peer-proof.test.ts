import { createHmac } from 'node:crypto'
import { expect, test } from 'vitest'
import { isSameProof, makeProof, proofKey, PROOF_BYTES } from '../../src/rpc/peer-proof.ts'

const hello = Uint8Array.from([1, 2, 3])
const challenge = Uint8Array.from([4, 5])
const key = proofKey('a secret, ключ')

test('a proof is HMAC-SHA-256 over role, length of Hello, Hello and Challenge', () => {
  const wanted = createHmac('sha256', 'a secret, ключ')
    .update(Buffer.from([0x44, 0, 0, 0, 3, 1, 2, 3, 4, 5]))
    .digest()
  const proof = makeProof(key, 'dialler', hello, challenge)
  expect(Buffer.from(proof)).toEqual(wanted)
  expect(proof).toHaveLength(PROOF_BYTES)
})

test('X12: a proof is good for one role, one pair of messages and one secret', () => {
  const proof = makeProof(key, 'dialler', hello, challenge)
  const others = [
    makeProof(key, 'acceptor', hello, challenge),
    makeProof(key, 'dialler', Uint8Array.from([1, 2]), Uint8Array.from([3, 4, 5])),
    makeProof(key, 'dialler', hello, Uint8Array.from([4, 6])),
    makeProof(proofKey('another'), 'dialler', hello, challenge),
  ]
  for (const other of others) expect(isSameProof(other, proof)).toBe(false)
})

test('X8: isSameProof() looks at every byte, and takes no shorter or longer proof', () => {
  const proof = makeProof(key, 'dialler', hello, challenge)
  expect(isSameProof(proof.slice(), proof)).toBe(true)
  for (let index = 0; index < PROOF_BYTES; index++) {
    const changed = proof.slice()
    changed[index]! ^= 1
    expect(isSameProof(changed, proof)).toBe(false)
  }
  expect(isSameProof(proof.subarray(1), proof)).toBe(false)
  expect(isSameProof(new Uint8Array(0), proof)).toBe(false)
})
