/**
 * Five brokers, of which two may be gone at any time: the quorum has a majority without them, and every partition the replicas
 * that it needs. Two different ones are killed at once with `kill -9`, the controller and a leader, while our clients,
 * kafkajs and, where it is installed, librdkafka write, and a consumer follows. What was acknowledged is there in the end, once,
 * in order, on every replica (F-KILL).
 */
import { afterAll, expect, it } from 'vitest'
import { silentLogger } from '../../src/env/logger.ts'
import { Prng } from '../../src/env/sim/prng.ts'
import { Client } from '../../src/index.ts'
import { within } from '../support/client-logs.ts'
import { ClusterLoad } from '../support/cluster-load.ts'
import { ClusterProcesses } from '../support/cluster-processes.ts'
import { inSync } from '../support/every-broker.ts'
import { confluentKafka } from '../support/programs.ts'
import { compareReplicas } from '../support/replica-files.ts'
import { seedFromEnv } from '../support/seed.ts'
import { temporaryDirectory } from '../support/temp-directory.ts'

/** DOUBLE_KILLS=… asks for more, as `.ci/run` does: each takes some five seconds. */
const ROUNDS = Number(process.env['DOUBLE_KILLS'] ?? '1')
const BROKERS = 5
const TOPIC = 'twice-killed'
/** With five replicas and three of them needed, any two may go. */
const ASSIGNMENTS = [
  [1, 2, 3, 4, 5],
  [2, 3, 4, 5, 1],
  [3, 4, 5, 1, 2],
]
const IN_SYNC_MIN = 3
/** A kill, and the start after it, come after so many acknowledgements at most. */
const ACKS_MAX = 1000
/** What one step may take, in ms: elections, and the start of two brokers on a busy machine. */
const STEP_MS_MAX = 30_000
const EAGER = { requestTimeoutMs: 5000, retryBackoffMs: 10, retryBackoffMaxMs: 100, logger: silentLogger }

const seed = seedFromEnv('five brokers')
const librdkafka = confluentKafka()
const load = new ClusterLoad({ seed, topic: TOPIC, partitions: ASSIGNMENTS.length })
let longestGapMs = 0

afterAll(() => {
  const acknowledged = load.history.count('acknowledged')
  const gap = `longest time without an acknowledgement of some partition ${Math.round(longestGapMs)} ms`
  console.log(`five brokers: ${acknowledged} records acknowledged over ${ROUNDS} times two kills, ${gap}`)
  if (librdkafka.missing !== null) console.log(`five brokers: without librdkafka: ${librdkafka.missing}`)
})

it(
  `F-KILL: two of five brokers killed at once, ${ROUNDS} times, lose, double and reorder nothing`,
  async () => {
    const cluster = await ClusterProcesses.forTest({
      directory: temporaryDirectory('cluster-five'),
      brokers: BROKERS,
    })
    const prng = new Prng(String(seed), 'kills')
    await using tcp = new Client({ bootstrap: cluster.bootstrap, clientId: 'tcp', ...EAGER })
    await using webSocket = new Client({ bootstrap: cluster.webSocketUrls, clientId: 'webSocket', ...EAGER })
    await using observer = new Client({ bootstrap: cluster.bootstrap, clientId: 'observer', ...EAGER })
    const step = <T>(what: string, work: Promise<T>): Promise<T> =>
      within(what, STEP_MS_MAX, load.while(work), () =>
        [...load.describe(), ...cluster.complaints.slice(-30)].join('\n'),
      )
    const configs = { 'min.insync.replicas': String(IN_SYNC_MIN) }
    await tcp.admin().createTopics([{ name: TOPIC, assignments: ASSIGNMENTS, configs }])
    load.follow('follower', tcp.consumer({ topics: [TOPIC], from: 'beginning' }))
    load.writeWith('tcp', tcp.producer())
    load.writeWith('webSocket', webSocket.producer())
    load.writeWithKafkajs('kafkajs', cluster.bootstrap)
    if (librdkafka.missing === null)
      load.writeWithLibrdkafka('librdkafka', librdkafka.command, cluster.bootstrap)

    for (let round = 0; round < ROUNDS; round++) {
      await step('all replicas in sync', inSync(cluster.bootstrap, TOPIC))
      await step('acknowledgements', load.more(1 + prng.below(ACKS_MAX)))
      const { controllerId } = await observer.admin().describeCluster()
      const [topic] = await observer.admin().describeTopics([TOPIC])
      const leaders = topic!.partitions.map(({ leader }) => leader!)
      const leader = leaders.find((id) => id !== controllerId)!
      const victims = [controllerId!, leader].map((id) => cluster.broker(id))
      await Promise.all(victims.map((broker) => broker.kill()))
      await step('acknowledgements by three brokers', load.more(1 + prng.below(ACKS_MAX)))
      await step('the start of both', Promise.all(victims.map((broker) => broker.restart())))
    }
    await step('all replicas in sync in the end', inSync(cluster.bootstrap, TOPIC))
    await step('an outcome for everything sent', load.stop())
    longestGapMs = load.takeLongestGapMs()
    const ends = await observer
      .admin()
      .listOffsets(ASSIGNMENTS.map((_, partition) => ({ topic: TOPIC, partition, at: 'latest' as const })))
    const consumer = observer.consumer({ topics: [TOPIC], from: 'beginning', untilEnd: true })
    await Promise.all([tcp.close(), webSocket.close()])
    const faults = await load.check(consumer)
    await observer.close()
    await cluster.stop()

    expect(faults).toBe('')
    expect(load.history.count('unknown')).toBe(0)
    expect(cluster.errors).toEqual([])
    for (const { partition, offset } of ends)
      expect(await compareReplicas(cluster.directories, TOPIC, partition, offset!)).toEqual([])
  },
  60_000 + ROUNDS * 15_000,
)
