/** Mistakes in the client: the idempotent producer and the consumer. */
import type { PlantedBug } from '../planted-bug.ts'

export const CLIENT_BUGS: readonly PlantedBug[] = [
  {
    id: 'no-answer-is-a-no',
    file: 'src/client/produce-sender.ts',
    find: `    batch.mayBeInLog ||= wasSent
`,
    replace: '',
    what: 'a producer takes a batch whose answer was lost for one that is not in the log',
    breaks: ['P1', 'R13'],
    scenarios: ['TX-1'],
    catcher: {
      test: {
        file: 'test/client/exactly-once.test.ts',
        name: 'writes each record at most once, the acknowledged ones where it says, in the order sent (TX-1)',
      },
    },
  },
  {
    id: 'refused-leaves-no-doubt',
    file: 'src/client/produce-outcome.ts',
    find: 'const mayBeInLog = !NOT_IN_LOG.has(name)',
    replace: 'const mayBeInLog = false',
    what: 'a producer takes every error for one that says that the batch is not in the log',
    breaks: ['P1', 'R13'],
    scenarios: ['RP-7'],
    catcher: {
      test: {
        file: 'test/client/exactly-once.test.ts',
        name: 'writes each record at most once, the acknowledged ones where it says, in the order sent (TX-1)',
      },
    },
  },
  {
    id: 'retries-overtake',
    file: 'src/client/partition-queue.ts',
    find: 'if (retry !== undefined) return this.#inFlight.length === 0 ? retry : null',
    replace: 'if (retry !== undefined && this.#inFlight.length === 0) return retry',
    what: 'new batches of a partition leave while older ones wait to be sent again',
    breaks: ['P1', 'S3'],
    scenarios: ['TX-2'],
    catcher: {
      test: {
        file: 'test/client/producer.test.ts',
        name: 'retries batches of a partition in order, one at a time, before new ones',
      },
    },
  },
  {
    id: 'sequences-kept-over-a-lost-batch',
    file: 'src/client/partition-queue.ts',
    find: 'if (batch.identity !== null && batch.identity === this.#identity) this.#isBroken = true',
    replace: '',
    what: 'a producer goes on in its sequence behind a batch that it gave up',
    breaks: ['S3', 'P1'],
    scenarios: [],
    catcher: {
      test: {
        file: 'test/client/producer.test.ts',
        name: 'starts over under a new epoch behind a batch that failed for good',
      },
    },
  },
  {
    id: 'answers-from-before-a-seek',
    file: 'src/client/fetcher.ts',
    find: 'if (partition === undefined || as?.generation !== partition.generation) continue',
    replace: 'if (partition === undefined || as === undefined) continue',
    what: 'a consumer takes the answer to a fetch from before it went elsewhere',
    breaks: ['R9'],
    scenarios: [],
    catcher: {
      test: { file: 'test/client/consumer.test.ts', name: 'drops the answer to a fetch from before a seek' },
    },
  },
  {
    id: 'position-one-behind',
    file: 'src/client/fetched-chunk.ts',
    find: 'nextFetchOffset = Math.max(nextFetchOffset, lastOffset + 1)',
    replace: 'nextFetchOffset = Math.max(nextFetchOffset, lastOffset)',
    what: 'a consumer fetches the last record of an answer again',
    breaks: ['R9', 'S3'],
    scenarios: [],
    catcher: {
      test: { file: 'test/client/consumer.test.ts', name: 'reads all partitions of its topics to their end' },
    },
  },
  {
    id: 'position-by-record-count',
    file: 'src/client/fetched-chunk.ts',
    find: 'if (offset < firstOffset) continue\n',
    replace: '',
    what: 'a consumer hands out a batch from its beginning, also the records below its position',
    breaks: ['R9'],
    scenarios: [],
    catcher: {
      test: { file: 'test/client/consumer.test.ts', name: 'goes on where a loop was left, within a batch' },
    },
  },
]
