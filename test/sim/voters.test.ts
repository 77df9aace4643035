/**
 * Changing who votes on the metadata of a cluster that is at work (docs/faults.md MQ-6, MQ-7, M8; KIP-853): by the requests that
 * commands send, with the refusals that keep a majority.
 */
import { describe, expect, it } from 'vitest'
import type { Client } from '../../src/client/client.ts'
import { ClusterLoad } from './support/cluster-load.ts'
import { SESSION_MS, SimCluster } from './support/sim-cluster.ts'

const TOPIC = 'orders'
const PLACES = [{ topic: TOPIC, partition: 0 }]

async function start(
  brokers: number,
  load = false,
): Promise<{ cluster: SimCluster; client: Client; load: ClusterLoad | null }> {
  const cluster = await SimCluster.start({ seed: `voters ${brokers}`, brokers })
  if (!load) return { cluster, client: cluster.client('operator'), load: null }
  await cluster.createTopic(TOPIC, { assignments: [[1, 2, 3]] })
  const work = new ClusterLoad(cluster, { places: PLACES, producers: [{}], consumers: [100_000] })
  await work.progress()
  return { cluster, client: cluster.client('operator'), load: work }
}

async function voters(cluster: SimCluster, client: Client): Promise<readonly number[]> {
  return (await cluster.run(client.admin().describeQuorum())).voters.map(({ nodeId }) => nodeId)
}

/** The code of what the change fails with, or `NONE`. */
function outcome(cluster: SimCluster, change: Promise<void>): Promise<string> {
  return cluster.run(
    change.then(
      () => 'NONE',
      (error: unknown) => (error as { code: string }).code,
    ),
  )
}

describe('The voters of a cluster', () => {
  it('MQ-7 M8: are removed and added one by one under load, the one that decides among them', async () => {
    const { cluster, client, load } = await start(4, true)
    const admin = client.admin()
    for (const id of [4, 3, 2, 1]) {
      expect(await outcome(cluster, admin.removeVoter(id))).toBe('NONE')
      await cluster.run(() => ![null, cluster.host(id)].includes(cluster.controller))
      expect(await voters(cluster, client)).not.toContain(id)
      await load!.progress(10)
      expect(await outcome(cluster, admin.addVoter(id, { timeoutMs: 10_000 }))).toBe('NONE')
      expect(await voters(cluster, client)).toEqual([1, 2, 3, 4])
    }
    await cluster.untilWhole()
    await load!.finish()
  })

  it('MQ-7: give one its vote back at once, though a leader that has just been elected does not know it yet', async () => {
    const { cluster, client } = await start(3)
    const admin = client.admin()
    const { id } = cluster.controller!
    const both = admin.removeVoter(id).then(() => admin.addVoter(id, { timeoutMs: 10_000 }))
    expect(await outcome(cluster, both)).toBe('NONE')
    expect(await voters(cluster, client)).toEqual([1, 2, 3])
  })

  it('MQ-7: a vote that is gone counts no more: of three, two are left, and of them one may not stop', async () => {
    const { cluster, client } = await start(3)
    const admin = client.admin()
    expect(await outcome(cluster, admin.removeVoter(3))).toBe('NONE')
    cluster.kill(cluster.host(3), 'crash')
    await cluster.createTopic('without-three', { replicationFactor: 2 })
    void cluster.revive(cluster.host(3))
    await cluster.untilWhole()
    expect(await voters(cluster, client), 'not by its restart, either').toEqual([1, 2])
    expect(await outcome(cluster, admin.addVoter(3))).toBe('NONE')
    cluster.kill(cluster.controller!, 'crash')
    await cluster.run(() => cluster.controller !== null && cluster.controller.broker !== null, 5 * SESSION_MS)
    await cluster.createTopic('with-three', { replicationFactor: 2 })
  })

  it('MQ-7: refuses to take a vote when too few of those that are left run', async () => {
    const { cluster, client } = await start(3)
    const admin = client.admin()
    const rest = cluster.hosts.filter((host) => host !== cluster.controller)
    cluster.kill(rest[0]!, 'crash')
    await cluster.pass(4000)
    const failed = admin.removeVoter(rest[1]!.id)
    expect(await outcome(cluster, failed)).toBe('INVALID_REQUEST')
    await expect(failed).rejects.toThrow(new RegExp(`2 must run, and ${rest[0]!.id} did not show up lately`))
    expect(await voters(cluster, client)).toEqual([1, 2, 3])
    // The dead one itself may go.
    expect(await outcome(cluster, admin.removeVoter(rest[0]!.id))).toBe('NONE')
    expect(await outcome(cluster, admin.removeVoter(rest[0]!.id))).toBe('VOTER_NOT_FOUND')
  })

  it('MQ-7: the last vote is not taken', async () => {
    const { cluster, client } = await start(3)
    const admin = client.admin()
    const last = cluster.controller!.id
    for (const { id } of cluster.hosts)
      if (id !== last) expect(await outcome(cluster, admin.removeVoter(id))).toBe('NONE')
    expect(await outcome(cluster, admin.removeVoter(last))).toBe('INVALID_REQUEST')
    expect(await voters(cluster, client)).toEqual([last])
  })

  it('MQ-6: adds nobody who does not run, votes already, or has lost the disk that its vote belongs to', async () => {
    const { cluster, client } = await start(4)
    const admin = client.admin()
    expect(await outcome(cluster, admin.addVoter(2))).toBe('DUPLICATE_VOTER')
    const host = cluster.hosts.find((each) => each !== cluster.controller)!
    cluster.kill(host, 'crash')
    cluster.wipe(host)
    void cluster.revive(host)
    await cluster.untilWhole()
    expect(await outcome(cluster, admin.addVoter(host.id)), 'its new disk is no voter').toBe(
      'DUPLICATE_VOTER',
    )
    expect(await outcome(cluster, admin.removeVoter(host.id))).toBe('NONE')
    cluster.kill(host, 'crash')
    await cluster.pass(4000)
    const asked = admin.addVoter(host.id, { timeoutMs: 1000 })
    expect(['REQUEST_TIMED_OUT', 'CLIENT_BAD_ARGUMENT']).toContain(await outcome(cluster, asked))
    void cluster.revive(host)
    await cluster.untilWhole()
    expect(await outcome(cluster, admin.addVoter(host.id, { timeoutMs: 10_000 }))).toBe('NONE')
    expect(await voters(cluster, client)).toEqual([1, 2, 3, 4])
  })
})
