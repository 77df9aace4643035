/**
 * Which partition a record goes to: by its key, as Java's client chooses it, so that producers in all languages put a
 * key into the same partition.
 *
 *   partition := (murmur2(key) & 0x7fffffff) mod partition count        seed 0x9747b28c, 32-bit MurmurHash2
 *
 * Records without a key stick to one partition per batch (KIP-480); the producer does that, since it knows batches.
 */

const SEED = 0x9747b28c
const MULTIPLIER = 0x5bd1e995
const SHIFT = 24

/**
 * Chooses a partition for a record.
 *
 * @param key - As the serializer made it; borrowed.
 * @param partitionCount - At least 1.
 * @returns A partition in `[0, partitionCount)`, or null to leave the choice to the producer.
 */
export type Partitioner = (topic: string, key: Uint8Array | null, partitionCount: number) => number | null

/** By the key, like Java's client; null for a record without one. */
export const keyPartitioner: Partitioner = (_topic, key, partitionCount) =>
  key === null ? null : (murmur2(key) & 0x7fff_ffff) % partitionCount

/** MurmurHash2 with Kafka's seed, as a signed 32-bit integer. */
export function murmur2(bytes: Uint8Array): number {
  const length = bytes.length
  let hash = SEED ^ length
  let position = 0
  for (; position + 4 <= length; position += 4) {
    let word =
      bytes[position]! |
      (bytes[position + 1]! << 8) |
      (bytes[position + 2]! << 16) |
      (bytes[position + 3]! << 24)
    word = Math.imul(word, MULTIPLIER)
    word ^= word >>> SHIFT
    hash = Math.imul(hash, MULTIPLIER) ^ Math.imul(word, MULTIPLIER)
  }
  const rest = length - position
  if (rest >= 3) hash ^= bytes[position + 2]! << 16
  if (rest >= 2) hash ^= bytes[position + 1]! << 8
  if (rest >= 1) hash = Math.imul(hash ^ bytes[position]!, MULTIPLIER)
  hash = Math.imul(hash ^ (hash >>> 13), MULTIPLIER)
  return hash ^ (hash >>> 15)
}
