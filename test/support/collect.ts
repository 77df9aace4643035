/** Reads with our own client, for tests that look at what foreign clients wrote. */
import { Client } from '../../src/index.ts'
import type { ConsumerRecord } from '../../src/index.ts'

export type Record = ConsumerRecord<Uint8Array | null, Uint8Array | null>

/** All records of a topic, by partition and offset. */
export async function readAll(bootstrap: string, topic: string): Promise<Record[]> {
  await using client = new Client({ bootstrap })
  await using consumer = client.consumer({ topics: [topic], from: 'beginning', untilEnd: true })
  const records: Record[] = []
  for await (const record of consumer) records.push(record)
  return records.sort((a, b) => a.partition - b.partition || a.offset - b.offset)
}

/** Values of a topic as text, by partition and offset; null stays. */
export async function readValues(bootstrap: string, topic: string): Promise<(string | null)[]> {
  const records = await readAll(bootstrap, topic)
  return records.map(({ value }) => textOf(value))
}

export function textOf(bytes: Uint8Array | null): string | null {
  return bytes === null ? null : Buffer.from(bytes).toString()
}
