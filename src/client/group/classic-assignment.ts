/**
 * Reads what a member of a classic group of consumers was assigned. The members agree on these bytes among themselves, the
 * broker only keeps them; so they may be anything.
 *
 *   assignment := version: int16 | topics: [topic] | userData: bytes | what later versions added      big-endian
 *   topic      := name: [int16 length | UTF-8] | partitions: [int32]
 *   [x]        := count: int32 | that many x
 *
 * Later versions only append, so that the topics are found in any of them. Counts are checked against the bytes that are left
 * before anything is made of them.
 */
import { ByteReader } from '../../bytes/byte-reader.ts'
import { DecodeError } from '../../bytes/decode-error.ts'
import type { TopicPartition } from '../consumer-options.ts'

/** Bytes that the shortest topic takes: the length of its name and the count of its partitions. */
const TOPIC_BYTES_MIN = 6
const PARTITION_BYTES = 4

/** @returns Null when the bytes are no assignment of consumers. No bytes are an assignment of nothing. */
export function readClassicAssignment(assignment: Uint8Array): TopicPartition[] | null {
  if (assignment.length === 0) return []
  const reader = new ByteReader(assignment)
  try {
    if (reader.int16() < 0) return null
    const found: TopicPartition[] = []
    const topicCount = readCount(reader, TOPIC_BYTES_MIN)
    for (let index = 0; index < topicCount; index++) {
      const topic = reader.string(reader.int16())
      const partitionCount = readCount(reader, PARTITION_BYTES)
      for (let each = 0; each < partitionCount; each++) found.push({ topic, partition: reader.int32() })
    }
    return found
  } catch (error) {
    if (error instanceof DecodeError) return null // A protocol of the members' own, which is their affair.
    throw error
  }
}

function readCount(reader: ByteReader, itemBytesMin: number): number {
  const count = reader.int32()
  if (count < 0 || count * itemBytesMin > reader.remaining)
    reader.fail('an array', `${count} items announced`)
  return count
}
