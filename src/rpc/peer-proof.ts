/**
 * Proof that a node knows the cluster's secret, without telling it: HMAC-SHA-256 (RFC 2104) with the secret as the key
 * over
 *
 *   role: 'D' for the dialler, 'A' for the acceptor | length of Hello: int32 | Hello | Challenge
 *
 * Both messages as they went over the wire: so the proof covers both nonces, both nodes, their disks and processes, the
 * cluster, the purpose and the version, and one that was heard is worth nothing in another handshake. The role keeps an
 * end from being given its own proof back. What follows the handshake is not covered: who can change bytes on the way
 * needs to be kept out by the network or by TLS.
 */
import { hmac } from '@noble/hashes/hmac.js'
import { sha256 } from '@noble/hashes/sha2.js'
import { utf8Size, writeUtf8 } from '../bytes/utf8.ts'

export const PROOF_BYTES = 32

export type ProverRole = 'dialler' | 'acceptor'

const ROLE_BYTES: Readonly<Record<ProverRole, number>> = { dialler: 0x44, acceptor: 0x41 }
const PREFIX_BYTES = 5

/** The key that a secret stands for: its UTF-8. */
export function proofKey(secret: string): Uint8Array {
  const size = utf8Size(secret)
  const key = new Uint8Array(size)
  writeUtf8(key, 0, secret, size)
  return key
}

/** @param hello - Frame as sent. @param challenge - Frame as sent. */
export function makeProof(
  key: Uint8Array,
  role: ProverRole,
  hello: Uint8Array,
  challenge: Uint8Array,
): Uint8Array {
  const text = new Uint8Array(PREFIX_BYTES + hello.length + challenge.length)
  text[0] = ROLE_BYTES[role]
  new DataView(text.buffer).setInt32(1, hello.length)
  text.set(hello, PREFIX_BYTES)
  text.set(challenge, PREFIX_BYTES + hello.length)
  return hmac(sha256, key, text)
}

/** Whether two proofs are the same; takes as long wherever they differ (docs/faults.md X8). */
export function isSameProof(proof: Uint8Array, wanted: Uint8Array): boolean {
  if (proof.length !== wanted.length) return false
  let difference = 0
  for (let index = 0; index < wanted.length; index++) difference |= proof[index]! ^ wanted[index]!
  return difference === 0
}
