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
    id: 'lag-by-the-last-answer',
    file: 'src/client/fetcher.ts',
    find: 'Math.max(partition.highWatermark, one.highWatermark)',
    replace: 'one.highWatermark',
    what: 'what a consumer is told of the high watermark falls when a new leader does not know yet how far the last one had come',
    breaks: ['R7'],
    scenarios: [],
    catcher: {
      test: {
        file: 'test/client/consumer.test.ts',
        name: 'R7: a new leader that does not know yet how far its predecessor had come takes nothing back of what was committed',
      },
    },
  },
  {
    id: 'refused-and-forgotten',
    file: 'src/client/produce-sender.ts',
    find: 'if (queue.hasGapBefore(batch)) this.#again(queue, batch)',
    replace: 'if (queue.hasGapBefore(batch)) queue.retry(batch)',
    what: 'a batch that was refused behind one without an answer waits for it, and nobody looks at it again when that one has failed',
    breaks: ['S2'],
    scenarios: ['TX-1'],
    catcher: {
      test: {
        file: 'test/client/leaders.test.ts',
        name: 'S2: what a new leader refuses behind a batch that the old one never answers is sent when the time of that one is over',
      },
    },
  },
  {
    id: 'lingers-by-a-difference',
    file: 'src/client/partition-queue.ts',
    find: 'return options.nowMs >= batch.createdAtMs + options.lingerMs ? batch : null',
    replace: 'return options.nowMs - batch.createdAtMs >= options.lingerMs ? batch : null',
    what: 'a batch is not due at the very time for which the timer was set: a rounding away',
    breaks: ['S3'],
    scenarios: [],
    catcher: {
      test: {
        file: 'test/client/producer.test.ts',
        name: 'S3: sends when lingerMs is over, wherever sums and differences of times round to',
      },
    },
  },
  {
    id: 'deletion-goes-by-old-leaders',
    file: 'src/client/admin-records.ts',
    find: 'if (error instanceof ClientError && error.retriable) cluster.refreshSoon(link)',
    replace: 'if (error instanceof ClientError && error.retriable) cluster.keepFresh(0)',
    what: 'a deletion that fails leaves what is known of leaders as it is',
    breaks: ['S3'],
    scenarios: [],
    catcher: {
      test: {
        file: 'test/client/admin.test.ts',
        name: 'S3: knows of the next leader, after the connection to the last one has failed',
      },
    },
  },
]
