/**
 * The power of a whole cluster fails under load, all machines at once, time and again: each broker has a disk of its own of
 * which only what was synced is left (test/support/loop-disk.ts). With the default durability, whatever was acknowledged
 * or shown to a reader before is there afterwards, once, in order, and on every replica (F-PWR). No test with `kill -9` shows
 * that: the page cache survives it.
 */
import { join } from 'node:path'
import { afterAll, expect, it } from 'vitest'
import { silentLogger } from '../../src/env/logger.ts'
import { Prng } from '../../src/env/sim/prng.ts'
import { Client, verifyDataDirectory } from '../../src/index.ts'
import { within } from '../support/client-logs.ts'
import { ClusterLoad } from '../support/cluster-load.ts'
import { ClusterProcesses } from '../support/cluster-processes.ts'
import { inSync } from '../support/every-broker.ts'
import { LoopDisk } from '../support/loop-disk.ts'
import { compareReplicas } from '../support/replica-files.ts'
import { seedFromEnv } from '../support/seed.ts'
import { temporaryDirectory } from '../support/temp-directory.ts'

/** POWER_CUTS=… asks for some, as `.ci/run` does: each takes some three seconds, and the first twenty. */
const CUTS = Number(process.env['POWER_CUTS'] ?? '0')
const TOPIC = 'cut'
const PARTITIONS = 3
/** A cut comes after so many acknowledgements at most. */
const ACKS_MAX = 1500
/** What the brokers may take to be back and to take records again, in ms. */
const BACK_MS_MAX = 30_000
const EAGER = { requestTimeoutMs: 2000, retryBackoffMs: 10, retryBackoffMaxMs: 100, logger: silentLogger }

const seed = seedFromEnv('power cuts')
const { missing } = LoopDisk
const load = new ClusterLoad({ seed, topic: TOPIC, partitions: PARTITIONS })
let cuts = 0

afterAll(() => {
  if (missing === null)
    console.log(`power cuts: ${load.history.count('acknowledged')} records acknowledged over ${cuts}`)
})

it.skipIf(missing !== null || CUTS === 0)(
  `F-PWR: ${CUTS} power cuts of a whole cluster under load lose, double and reorder nothing acknowledged${missing === null ? '' : ` [${missing}]`}`,
  async () => {
    const directory = temporaryDirectory('power-cut')
    const disks = await Promise.all(
      [1, 2, 3].map((id) =>
        LoopDisk.forTest(join(directory, `image-${id}`), join(directory, `broker-${id}`)),
      ),
    )
    const cluster = await ClusterProcesses.forTest({
      directory,
      // Segments roll and recovery points move many times between two cuts.
      settings: { 'log.segment.bytes': '262144', 'log.flush.offset.checkpoint.interval.ms': '200' },
    })
    const brokers = cluster.nodeIds.map((id) => cluster.broker(id))
    const prng = new Prng(String(seed), 'cuts')
    await using tcp = new Client({ bootstrap: cluster.bootstrap, clientId: 'tcp', ...EAGER })
    await using webSocket = new Client({ bootstrap: cluster.webSocketUrls, clientId: 'webSocket', ...EAGER })
    await using observer = new Client({ bootstrap: cluster.bootstrap, clientId: 'observer', ...EAGER })
    await tcp.admin().createTopics([{ name: TOPIC, partitions: PARTITIONS, replicationFactor: 3 }])
    load.follow('follower', tcp.consumer({ topics: [TOPIC], from: 'beginning' }))
    load.writeWith('tcp', tcp.producer())
    load.writeWith('webSocket', webSocket.producer({ compression: 'lz4' }))
    const step = <T>(what: string, work: Promise<T>): Promise<T> =>
      within(what, BACK_MS_MAX, load.while(work), () =>
        [...load.describe(), ...cluster.complaints.slice(-30)].join('\n'),
      )

    for (; cuts < CUTS; cuts++) {
      await step('acknowledgements', load.more(1 + prng.below(ACKS_MAX)))
      for (const broker of brokers) broker.pause()
      // What stands still acknowledges nothing; what it had sent before is acknowledged, wherever it lies.
      const snapshots = await Promise.all(disks.map((disk) => disk.snapshot()))
      await Promise.all(brokers.map((broker) => broker.kill()))
      await Promise.all(disks.map((disk, index) => disk.restore(snapshots[index]!)))
      await step('the start of all brokers', Promise.all(brokers.map((broker) => broker.restart())))
    }
    await step('acknowledgements in the end', load.more(1 + prng.below(ACKS_MAX)))
    await step('an outcome for everything sent', load.stop())
    await inSync(cluster.bootstrap, TOPIC)
    const partitions = Array.from({ length: PARTITIONS }, (_, partition) => partition)
    const ends = await observer
      .admin()
      .listOffsets(partitions.map((partition) => ({ topic: TOPIC, partition, at: 'latest' as const })))
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
    for (const path of cluster.directories)
      for await (const checked of verifyDataDirectory(path)) expect(checked.faults).toEqual([])
  },
  60_000 + CUTS * 10_000,
)
