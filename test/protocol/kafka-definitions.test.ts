/**
 * Our messages against Kafka's definitions. Without KAFKA_MESSAGES_DIR (test/support/kafka-definitions.ts) the comparison is
 * skipped, and says so.
 */
import { describe, test } from 'vitest'
import { apiList } from '../../src/protocol/apis.ts'
import { compare, KAFKA_MESSAGES_DIR } from '../support/kafka-definitions.ts'

/** Numbers from here on are our own, and Kafka has no definition of what they stand for. */
const OWN_KEY_FIRST = 1000

test.skipIf(KAFKA_MESSAGES_DIR !== undefined)(
  'comparison with Kafka is skipped: KAFKA_MESSAGES_DIR is not set',
  ({ skip }) => {
    skip()
  },
)

describe.skipIf(KAFKA_MESSAGES_DIR === undefined)('declared as in Kafka', () => {
  test.each(apiList.filter(({ key }) => key < OWN_KEY_FIRST))('$name', (api) => {
    compare(api.request, api.key)
    compare(api.response, api.key)
  })
})
