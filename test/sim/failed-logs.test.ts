/**
 * Logs that fail while their broker lives, and disks that fail as a whole (docs/faults.md ST-2, ST-7, ST-8, D3, D4): others lead, at
 * once, and the replica comes back by itself as soon as its log can be used.
 */
import { describe, expect, it } from 'vitest'
import { FileError } from '../../src/env/index.ts'
import type { DirectoryInode } from '../../src/env/sim/disk-image.ts'
import { ClusterLoad } from './support/cluster-load.ts'
import { DIRECTORY, SESSION_MS, SimCluster } from './support/sim-cluster.ts'
import type { Host } from './support/sim-cluster.ts'

const TOPIC = 'orders'
const PLACES = [{ topic: TOPIC, partition: 0 }]
/** Between two tries of a broker to have what it could not have, in ms; and some for the work. */
const UPKEEP_MS = 7000

/** @param given - The replicas; default all brokers, led by one that is not the controller. */
async function underLoad(
  given: readonly number[] | null = null,
): Promise<{ cluster: SimCluster; load: ClusterLoad }> {
  const cluster = await SimCluster.start({
    seed: 'failed logs',
    settings: { 'leader.imbalance.check.interval.seconds': '300', 'log.segment.bytes': '4096' },
  })
  const isController = (id: number): boolean => cluster.controller?.id === id
  const ids = cluster.hosts.map(({ id }) => id)
  const replicas = given ?? [...ids.filter((id) => !isController(id)), ...ids.filter(isController)]
  // Two must be in sync for a commit: so both have everything, whoever was the last to stop.
  await cluster.createTopic(TOPIC, { assignments: [replicas] })
  const load = new ClusterLoad(cluster, { places: PLACES, producers: [{}], consumers: [100_000] })
  await load.progress(200)
  return { cluster, load }
}

/** Takes the newest segment away: records that were there are not, which the next start sees (D3). */
function damage(host: Host): void {
  let directory = host.node.disk.image.root
  for (const name of [...DIRECTORY.split('/').slice(1), `${TOPIC}-0`])
    directory = directory.live.get(name) as DirectoryInode
  const name = [...directory.live.keys()]
    .filter((each) => each.endsWith('.log'))
    .sort()
    .at(-1)!
  directory.live.delete(name)
  directory.durable.delete(name)
}

/** All stop cleanly and at once; what `id` has of the topic is damaged; all start again. */
async function damageAtRest(cluster: SimCluster, id: number): Promise<void> {
  await cluster.run(Promise.all(cluster.hosts.map(({ broker }) => broker!.close({ handsOver: false }))))
  for (const host of cluster.hosts) cluster.kill(host, 'crash')
  damage(cluster.host(id))
  for (const host of cluster.hosts) void cluster.revive(host)
}

describe('A log that fails while its broker lives', () => {
  it('ST-2 D3: is not led any more, and is fetched anew; what was damaged is kept aside', async () => {
    for (const id of [1, 2]) {
      const { cluster, load } = await underLoad([1, 2])
      await damageAtRest(cluster, id)
      const other = id === 1 ? 2 : 1
      await cluster.run(() => cluster.hasImage && cluster.leader(TOPIC)?.id === other)
      await load.progress(20, 3 * UPKEEP_MS)
      await cluster.untilWhole()
      expect([...cluster.partition(TOPIC).isr].sort()).toEqual([1, 2])
      const set = cluster.said.filter(({ message }) => message.startsWith('Setting aside a damaged log'))
      expect(set.map(({ node }) => node)).toEqual([`b${id}`])
      await load.finish()
    }
  })

  it('ST-2: the last replica that has everything stays, is offline, and says so', async () => {
    const { cluster } = await underLoad([2])
    await damageAtRest(cluster, 2)
    await cluster.run(() => cluster.hosts.every(({ broker }) => broker !== null))
    await cluster.pass(2 * UPKEEP_MS)
    expect(cluster.partition(TOPIC)).toMatchObject({ leader: 2, isr: [2] })
    expect(cluster.host(2).broker!.unreadiness().join()).toMatch(/Partition orders-0 is offline: .+/)
    expect(cluster.said.some(({ message }) => message.startsWith('Setting aside'))).toBe(false)
  })

  it('ST-9: a topic whose leader has no handle left for its log is led by another, and the replica joins as soon as it can', async () => {
    const cluster = await SimCluster.start({ seed: 'in the way' })
    const { files } = cluster.host(1).node.env
    const makeDirectory = files.makeDirectory.bind(files)
    files.makeDirectory = (path) =>
      path.includes(TOPIC)
        ? Promise.reject(new FileError('FILE_TOO_MANY_OPEN', `Made ${path}: no handle is left`, path))
        : makeDirectory(path)
    await cluster.createTopic(TOPIC, { assignments: [[1, 2, 3]] })
    await cluster.run(() => cluster.partition(TOPIC).leader === 2, 3 * SESSION_MS)
    expect(cluster.partition(TOPIC)).toMatchObject({ isr: [2, 3], eligibleLeaderReplicas: [] })
    const load = new ClusterLoad(cluster, { places: PLACES, producers: [{}], consumers: [100_000] })
    await load.progress()
    expect(cluster.partition(TOPIC).isr).not.toContain(1)
    files.makeDirectory = makeDirectory
    await cluster.untilWhole(UPKEEP_MS + 5000)
    await load.finish()
  })
})

describe('A disk that fails', () => {
  it('ST-7 D4: what the broker led is led by others before its session could have ended', async () => {
    const { cluster, load } = await underLoad()
    const host = cluster.leader(TOPIC)!
    const atMs = cluster.simulation.nowMs
    const heal = host.node.disk.fail({ kind: 'sync', isSticky: true })
    await cluster.run(() => ![null, host].includes(cluster.leader(TOPIC)))
    expect(cluster.simulation.nowMs - atMs).toBeLessThan(SESSION_MS)
    await load.progress()
    heal()
    cluster.kill(host, 'power cut')
    void cluster.revive(host)
    await cluster.untilWhole()
    await load.finish()
  })
})
