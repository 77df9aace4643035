/**
 * The load generator for reading: the product's own consumer, batch by batch. Every value is touched and its length
 * added up; checksums of batches are verified, as they are by default.
 */
import { Client, type Consumer, type GroupConsumer } from '../../src/index.ts'
import { timed, type LoadResult } from '../usage.ts'

export interface ConsumeWork {
  readonly topic: string
  /** Records in the topic, over all partitions. */
  readonly records: number
  /** How often it is read from its beginning. */
  readonly passes: number
  /** Read as the only member of this group, which commits as it goes; null: partitions are assigned. */
  readonly group: string | null
}

/** @param bootstrap - Of the broker; the scheme chooses the transport. */
export async function consumerLoad(bootstrap: string): Promise<{
  run(work: ConsumeWork): Promise<LoadResult>
}> {
  const client = new Client({ bootstrap })
  await client.connect()
  return {
    run: async ({ topic, records, passes, group }) => {
      const options = { topics: [topic], from: 'beginning' as const }
      const consumer = group === null ? client.consumer(options) : client.consumer({ ...options, group })
      try {
        await consumer.ready()
        const sum = { records: 0, bytes: 0, firstBytes: 0 }
        const cost = await timed(async () => {
          for (let pass = 0; pass < passes; pass++) {
            if (pass > 0) for (const partition of consumer.assignment) consumer.seek(partition, 'beginning')
            await readPass(consumer, records, sum)
          }
        })
        return { ...cost, records: sum.records, bytes: sum.bytes, work: `${JSON.stringify(sum)} read` }
      } finally {
        await consumer.close()
      }
    },
  }
}

async function readPass(
  consumer: Consumer | GroupConsumer,
  wanted: number,
  sum: { records: number; bytes: number; firstBytes: number },
): Promise<void> {
  let count = 0
  for await (const { records } of consumer.batches()) {
    for (const { value } of records) {
      if (value === null) continue // written to open a producer's connection
      sum.bytes += value.length
      sum.firstBytes = (sum.firstBytes + value[0]!) % 65_521
      sum.records++
    }
    count += records.length
    if (count >= wanted) return
  }
}
