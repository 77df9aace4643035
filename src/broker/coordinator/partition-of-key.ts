/**
 * The partition of an internal topic that a key belongs to, a group id or a transactional id: the hash of Java's strings without
 * its sign, as every Kafka has it, so that a topic means the same to its tools.
 *
 * @param partitionCount - At least 1.
 */
export function partitionOfKey(key: string, partitionCount: number): number {
  let hash = 0
  for (let index = 0; index < key.length; index++) hash = (31 * hash + key.charCodeAt(index)) | 0
  return (hash & 0x7fff_ffff) % partitionCount
}
