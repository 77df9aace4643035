/**
 * The brokers of a cluster are killed with `kill -9`, one at a time, those that lead first, while producers write to it:
 * two of our own, over TCP and over WebSocket, kafkajs and, where it is installed, librdkafka. Two consumers follow at the
 * tail. A kill comes after a random number of acknowledgements, mostly when all replicas are in sync again and now and then
 * as soon as the broker before is back; now and then the others stand still when it comes. In the end everything acknowledged is there once, in order, where it was
 * acknowledged; what a reader was shown was never taken back; the replicas are byte for byte the same; and every broker has
 * come back into the in-sync sets by itself (F-KILL).
 */
import { setTimeout as pause } from 'node:timers/promises'
import { afterAll, expect, it } from 'vitest'
import { silentLogger } from '../../src/env/logger.ts'
import { Prng } from '../../src/env/sim/prng.ts'
import { Client, verifyDataDirectory } from '../../src/index.ts'
import { ClusterLoad } from '../support/cluster-load.ts'
import { ClusterProcesses } from '../support/cluster-processes.ts'
import { inSync } from '../support/every-broker.ts'
import { confluentKafka } from '../support/programs.ts'
import { compareReplicas } from '../support/replica-files.ts'
import { seedFromEnv } from '../support/seed.ts'
import { temporaryDirectory } from '../support/temp-directory.ts'

/** CLUSTER_KILLS=… asks for more, as `.ci/run` does: each takes some four seconds. */
const KILLS = Number(process.env['CLUSTER_KILLS'] ?? '2')
const TOPIC = 'killed'
const PARTITIONS = 4
/** A kill, and the start after it, come after so many acknowledgements at most. */
const ACKS_MAX = 2000
/**
 * In every third round or so the others stand still (F-PAUSE) for the last moments of the one that is killed, in ms: what
 * it acknowledges without them is lost. Less than a session, so that nobody is taken for dead.
 */
const ALONE_MS_MAX = 400
/** Clients look for a new leader often: there is one after a second or two. */
const EAGER = { retryBackoffMs: 10, retryBackoffMaxMs: 100, logger: silentLogger }

const seed = seedFromEnv('kill -9 in a cluster')
const librdkafka = confluentKafka()
const load = new ClusterLoad({ seed, topic: TOPIC, partitions: PARTITIONS })
let kills = 0
let longestGapMs = 0

afterAll(() => {
  const acknowledged = load.history.count('acknowledged')
  const gap = `longest time without an acknowledgement of some partition ${Math.round(longestGapMs)} ms`
  console.log(`kill -9 in a cluster: ${acknowledged} records acknowledged over ${kills} kills, ${gap}`)
  if (librdkafka.missing !== null)
    console.log(`kill -9 in a cluster: without librdkafka: ${librdkafka.missing}`)
})

it(`F-KILL: ${KILLS} times kill -9 in a cluster under load lose, double, reorder and take back nothing`, async () => {
  const cluster = await ClusterProcesses.forTest({
    directory: temporaryDirectory('cluster-kill'),
    // Segments roll and recovery points move many times between two kills.
    settings: { 'log.segment.bytes': '1048576', 'log.flush.offset.checkpoint.interval.ms': '200' },
  })
  const prng = new Prng(String(seed), 'kills')
  await using tcp = new Client({ bootstrap: cluster.bootstrap, clientId: 'tcp', ...EAGER })
  await using webSocket = new Client({ bootstrap: cluster.webSocketUrls, clientId: 'webSocket', ...EAGER })
  await using observer = new Client({ bootstrap: cluster.bootstrap, clientId: 'observer', ...EAGER })
  await tcp.admin().createTopics([{ name: TOPIC, partitions: PARTITIONS, replicationFactor: 3 }])
  load.follow('TCP follower', tcp.consumer({ topics: [TOPIC], from: 'beginning' }))
  load.follow('WebSocket follower', webSocket.consumer({ topics: [TOPIC], from: 'beginning' }))
  load.writeWith('tcp', tcp.producer())
  load.writeWith('webSocket', webSocket.producer({ compression: 'lz4' }))
  load.writeWithKafkajs('kafkajs', cluster.bootstrap)
  if (librdkafka.missing === null)
    load.writeWithLibrdkafka('librdkafka', librdkafka.command, cluster.bootstrap)

  /** Mostly the leader of some partition, or the controller; else anybody. */
  const victim = async (): Promise<number> => {
    const choice = prng.below(6)
    if (choice === 0) return 1 + prng.below(cluster.nodeIds.length)
    if (choice === 1) {
      const { controllerId } = await observer.admin().describeCluster()
      return controllerId ?? 1
    }
    const [topic] = await observer.admin().describeTopics([TOPIC])
    return topic!.partitions[prng.below(PARTITIONS)]!.leader ?? 1
  }

  for (; kills < KILLS; kills++) {
    if (prng.below(4) !== 0) await load.while(inSync(cluster.bootstrap, TOPIC))
    await load.more(1 + prng.below(ACKS_MAX))
    const nodeId = await load.while(victim())
    const others = cluster.nodeIds.filter((id) => id !== nodeId).map((id) => cluster.broker(id))
    const standsAlone = prng.below(3) === 0
    if (standsAlone) {
      for (const broker of others) broker.pause()
      await pause(prng.below(ALONE_MS_MAX))
    }
    await cluster.broker(nodeId).kill()
    if (standsAlone) for (const broker of others) broker.resume()
    await load.more(1 + prng.below(ACKS_MAX))
    await load.while(cluster.broker(nodeId).restart())
  }
  await load.stop()
  longestGapMs = load.takeLongestGapMs()
  await inSync(cluster.bootstrap, TOPIC)
  const ends = await observer.admin().listOffsets(
    Array.from({ length: PARTITIONS }, (_, partition) => ({
      topic: TOPIC,
      partition,
      at: 'latest' as const,
    })),
  )
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
  for (const directory of cluster.directories)
    for await (const checked of verifyDataDirectory(directory)) expect(checked.faults).toEqual([])
}, 240_000)
