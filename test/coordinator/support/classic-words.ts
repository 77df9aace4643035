/** What consumers of the classic protocol say of themselves, and how their assignments read. */
import { readAssignment } from '../../../src/coordinator/groups/classic/consumer-protocol.ts'
import { utf8 } from './classic-bench.ts'

/** A subscription of version 1, with what its member has, as `topic: partitions`. */
export function subscriptionWith(
  topics: readonly string[],
  owned: Readonly<Record<string, readonly number[]>> = {},
): Uint8Array {
  const int = (value: number, size: number) =>
    Array.from({ length: size }, (_, index) => (value >> (8 * (size - 1 - index))) & 255)
  const text = (value: string) => [...int(utf8(value).length, 2), ...utf8(value)]
  const lists = Object.entries(owned)
  return Uint8Array.from([
    ...int(1, 2),
    ...int(topics.length, 4),
    ...topics.flatMap(text),
    ...int(-1, 4),
    ...int(lists.length, 4),
    ...lists.flatMap(([topic, partitions]) => [
      ...text(topic),
      ...int(partitions.length, 4),
      ...partitions.flatMap((partition) => int(partition, 4)),
    ]),
  ])
}

/** An assignment as `topic: partitions`. */
export function assignmentOf(bytes: Uint8Array): Record<string, readonly number[]> {
  const topics = readAssignment(bytes)
  if (topics === null) throw new Error('Expected an assignment of consumers')
  return Object.fromEntries(topics.map(({ topic, partitions }) => [topic, partitions]))
}
