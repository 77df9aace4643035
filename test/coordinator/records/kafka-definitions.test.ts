/**
 * Our records against Kafka's definitions. Without KAFKA_MESSAGES_DIR (test/support/kafka-definitions.ts) the comparison is
 * skipped, and says so.
 */
import { describe, test } from 'vitest'
import { coordinatorRecordKinds } from '../../../src/coordinator/records/coordinator-record.ts'
import { compare, KAFKA_MESSAGES_DIR } from '../../support/kafka-definitions.ts'

test.skipIf(KAFKA_MESSAGES_DIR !== undefined)(
  'comparison with Kafka is skipped: KAFKA_MESSAGES_DIR is not set',
  ({ skip }) => {
    skip()
  },
)

describe.skipIf(KAFKA_MESSAGES_DIR === undefined)('declared as in Kafka', () => {
  test.each(Object.entries(coordinatorRecordKinds))('%s', (_, { number, key, value }) => {
    compare(key, number)
    compare(value, number)
  })
})
