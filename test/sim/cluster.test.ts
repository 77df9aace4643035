/**
 * A cluster of three brokers through each fault by itself (docs/faults.md section 4), under load, and what it refuses. What
 * happens when faults come together is cluster-swarm.test.ts.
 */
import { describe, expect, it } from 'vitest'
import { liveBrokers } from '../../src/metadata/cluster-image.ts'
import { errorByCode } from '../../src/protocol/errors.ts'
import { makeBatch, produceRequest } from '../broker/support/batches.ts'
import { ClusterLoad } from './support/cluster-load.ts'
import { formatSaid, SESSION_MS, SimCluster } from './support/sim-cluster.ts'
import type { Host, SimClusterOptions } from './support/sim-cluster.ts'

const TOPIC = 'orders'
const PLACES = [
  { topic: TOPIC, partition: 0 },
  { topic: TOPIC, partition: 1 },
]

/** A whole cluster with a topic of three replicas, and clients at work on it. */
async function underLoad(
  options: SimClusterOptions = {},
): Promise<{ cluster: SimCluster; load: ClusterLoad }> {
  const cluster = await SimCluster.start(options)
  await cluster.createTopic(TOPIC, { assignments: [[1, 2, 3], [2, 3, 1]] }) // prettier-ignore
  const load = new ClusterLoad(cluster, {
    places: PLACES,
    producers: [{}, { lingerMs: 5 }],
    consumers: [100_000, 300],
  })
  await load.progress()
  return { cluster, load }
}

/** Partition 0 is led by another than `host`, and takes records. */
async function untilTaken(cluster: SimCluster, load: ClusterLoad, host: Host): Promise<void> {
  await cluster.run(() => cluster.hasImage && ![null, host].includes(cluster.leader(TOPIC)), 5 * SESSION_MS)
  await load.progress()
}

function others(cluster: SimCluster, host: Host): string[] {
  return cluster.hosts.filter((other) => other !== host).map(({ name }) => name)
}

describe('A cluster', () => {
  it('is of brokers that know, as soon as they serve, that they live', async () => {
    for (let seed = 0; seed < 20; seed++) {
      const cluster = new SimCluster({ seed })
      const knowing = cluster.hosts.map(async (host) => {
        const { image } = await cluster.begin(host)
        return liveBrokers(image).some(({ id }) => id === host.id)
      })
      expect(await cluster.run(Promise.all(knowing))).toEqual([true, true, true])
    }
  })

  it('starts, elects, creates a topic with three replicas, takes records and gives them back, and says no word of warning', async () => {
    const { cluster, load } = await underLoad()
    expect(cluster.partition(TOPIC)).toMatchObject({ leader: 1, isr: [1, 2, 3] })
    await load.progress(300)
    await load.finish()
    expect(cluster.saidSince(0).map(formatSaid)).toEqual([])
  })

  it('S6: changes nothing by itself', async () => {
    const { cluster, load } = await underLoad()
    const before = cluster.partition(TOPIC)
    await cluster.pass(6 * SESSION_MS)
    expect(cluster.partition(TOPIC)).toEqual(before)
    await load.finish()
  })

  it.each(['crash', 'power cut', 'close'] as const)(
    'R1: loses nothing by the %s of a leader, which comes back into the in-sync set by itself',
    async (how) => {
      const { cluster, load } = await underLoad()
      const host = cluster.leader(TOPIC)!
      void cluster.end(host, how)
      await untilTaken(cluster, load, host)
      void cluster.revive(host)
      await cluster.untilWhole()
      await load.progress()
      await load.finish()
    },
  )

  it('S3: replaces a leader that was the controller, too, within a session time and one second', async () => {
    const sessionMs = 9000
    const settings = {
      'broker.session.timeout.ms': String(sessionMs),
      'broker.heartbeat.interval.ms': '2000',
    }
    const { cluster, load } = await underLoad({ settings })
    const host = cluster.controller!
    await cluster.createTopic('led', {
      assignments: [[host.id, ...others(cluster, host).map((name) => Number(name.slice(1)))]],
    })
    const killedMs = cluster.simulation.nowMs
    cluster.kill(host, 'crash')
    await cluster.run(() => ![null, host].includes(cluster.leader('led')))
    expect(cluster.simulation.nowMs - killedMs).toBeLessThan(sessionMs + 1000)
    void cluster.revive(host)
    await cluster.untilWhole()
    await load.finish()
  })

  it('D4: a start during which the disk fails ends with the reason, and does not wait to be let in for ever', async () => {
    const cluster = await SimCluster.start()
    const controller = cluster.controller!
    const [leader, host] = cluster.hosts.filter((other) => other !== controller) as [Host, Host]
    await cluster.createTopic('led', {
      assignments: [[leader.id, host.id]],
      configs: { 'min.insync.replicas': '1' },
    })
    cluster.kill(host, 'power cut')
    const client = cluster.client('writer')
    await cluster.run(client.producer().send({ topic: 'led', value: 'news' }))
    const path = (name: string): boolean => name.includes('/led-0/') && name.endsWith('.log')
    const restore = host.node.disk.fail({ kind: 'append', path, isSticky: true })
    // Its leader is near and the controller far: it has records to write before it is let in.
    const { network } = cluster.simulation
    for (const [from, to] of [
      [host.name, controller.name],
      [controller.name, host.name],
    ] as const)
      // prettier-ignore
      network.delay(from, to, [200, 300])
    const code = cluster.revive(host).then(
      () => 'NONE',
      (error: unknown) => (error as { code: string }).code,
    )
    expect(await cluster.run(code)).toBe('LOG_DIRECTORY_FAILED')
    restore()
    network.heal()
    void cluster.revive(host)
    await cluster.untilWhole()
    await cluster.run(client.close())
  })

  it('R6, ND-2: loses nothing by a leader that stands still for longer than its session', async () => {
    const { cluster, load } = await underLoad()
    const host = cluster.leader(TOPIC)!
    host.node.pause()
    await untilTaken(cluster, load, host)
    host.node.resume()
    await cluster.untilWhole()
    expect(host.node.generation, 'it went on, and was not started again').toBe(1)
    await load.progress()
    await load.finish()
  })

  it('RP-12: loses nothing by a leader that is back after a power cut before anybody has missed it, and gives it a new epoch', async () => {
    const { cluster, load } = await underLoad()
    const host = cluster.leader(TOPIC)!
    const { leaderEpoch } = cluster.partition(TOPIC)
    const brokerEpoch = cluster.image.brokers.get(host.id)!.epoch
    cluster.kill(host, 'power cut')
    await cluster.run(cluster.revive(host), SESSION_MS)
    await cluster.untilWhole()
    expect(cluster.partition(TOPIC).leaderEpoch).toBeGreaterThan(leaderEpoch)
    expect(cluster.image.brokers.get(host.id)!.epoch).toBeGreaterThan(brokerEpoch)
    await load.progress()
    await load.finish()
  })

  it('RP-13: loses nothing when all lose power at once', async () => {
    const { cluster, load } = await underLoad()
    for (const host of cluster.hosts) cluster.kill(host, 'power cut')
    await cluster.pass(500)
    for (const host of cluster.hosts) void cluster.revive(host)
    await cluster.untilWhole()
    await load.progress()
    await load.finish()
  })

  it.each(['both ways', 'to the others', 'from the others'] as const)(
    'loses nothing by a leader that is cut off %s',
    async (way) => {
      const { cluster, load } = await underLoad()
      const { network } = cluster.simulation
      const host = cluster.leader(TOPIC)!
      for (const other of others(cluster, host)) {
        if (way !== 'from the others') network.cut(host.name, other)
        if (way !== 'to the others') network.cut(other, host.name)
      }
      await untilTaken(cluster, load, host)
      network.heal()
      await cluster.untilWhole()
      await load.progress()
      await load.finish()
    },
  )

  it('goes on without a follower that is cut off, and takes it back', async () => {
    const { cluster, load } = await underLoad()
    const host = cluster.host(3)
    cluster.simulation.network.partition([host.name], others(cluster, host))
    await cluster.run(() => !cluster.partition(TOPIC).isr.includes(3), 5 * SESSION_MS)
    await load.progress()
    cluster.simulation.network.heal()
    await cluster.untilWhole()
    // What was dialled while the link was cut is given up after 5 s, which is longer than a session here: it is fenced once more.
    await cluster.pass(2 * 5000)
    await cluster.untilWhole()
    await load.finish()
  })

  it('MQ-4: has another controller when the active one is cut off, and that one has stepped down', async () => {
    const { cluster, load } = await underLoad()
    const host = cluster.controller!
    cluster.simulation.network.partition([host.name], others(cluster, host))
    await cluster.run(() => ![null, host].includes(cluster.controller))
    await cluster.run(() =>
      cluster.said.some(({ node, message }) => node === host.name && message === 'Controller is inactive'),
    )
    await load.progress()
    cluster.simulation.network.heal()
    await cluster.untilWhole()
    await load.finish()
  })

  it('goes on while the leader of a partition and the controller do not see each other', async () => {
    const { cluster, load } = await underLoad()
    const controller = cluster.controller!
    const place = PLACES.find(({ partition }) => cluster.leader(TOPIC, partition) !== controller)!
    const host = cluster.leader(TOPIC, place.partition)!
    cluster.simulation.network.partition([host.name], [controller.name])
    await cluster.pass(4 * SESSION_MS)
    await load.progress(20, 20 * SESSION_MS)
    cluster.simulation.network.heal()
    await cluster.untilWhole()
    await load.finish()
  })

  it('ND-9: is restarted broker by broker under load, and nobody waits for a session to end', async () => {
    const { cluster, load } = await underLoad()
    for (const host of cluster.hosts) {
      await cluster.run(cluster.end(host, 'close'), SESSION_MS)
      await load.progress(10, SESSION_MS)
      void cluster.revive(host)
      await cluster.untilWhole()
    }
    await load.finish()
    expect(load.outcomes.get('acknowledged')).toBe(load.ackedCount)
    expect(cluster.said.filter(({ message }) => message.startsWith('Broker is silent'))).toEqual([])
  })

  it('R7, R13: refuses acks=all while fewer than min.insync.replicas are in sync, and takes records again when they are back', async () => {
    const cluster = await SimCluster.start()
    await cluster.createTopic(TOPIC, { assignments: [[1, 2]] })
    const produce = async (): Promise<string> => {
      const request = produceRequest({ name: TOPIC }, makeBatch(), { timeoutMs: 1000 })
      const { responses } = await cluster.call(cluster.leader(TOPIC)!, 'Produce', 11, request)
      return errorByCode(responses[0]!.partitionResponses[0]!.errorCode).name
    }
    expect(await produce()).toBe('NONE')
    cluster.kill(cluster.host(2), 'crash')
    await cluster.run(() => cluster.partition(TOPIC).isr.length === 1)
    expect(await produce()).toBe('NOT_ENOUGH_REPLICAS')
    expect(cluster.partition(TOPIC)).toMatchObject({ isr: [1], eligibleLeaderReplicas: [2] })
    void cluster.revive(cluster.host(2))
    await cluster.untilWhole()
    expect(await produce()).toBe('NONE')
  })

  it('F-DISK, M10: fills a broker again that has lost its disk', async () => {
    const { cluster, load } = await underLoad()
    const host = cluster.host(2)
    cluster.kill(host, 'power cut')
    cluster.wipe(host)
    await load.progress()
    void cluster.revive(host)
    await cluster.untilWhole()
    await load.progress()
    await load.finish()
  })

  it('has all brokers stop at once', async () => {
    const { cluster, load } = await underLoad()
    await load.finish()
    await cluster.run(Promise.all(cluster.hosts.map(({ broker }) => broker!.close())), 10_000)
    for (const host of cluster.hosts) {
      cluster.kill(host, 'crash')
      void cluster.revive(host)
    }
    await cluster.untilWhole()
  })

  it('S7: does the same with the same seed', async () => {
    const life = async (): Promise<string> => {
      const { cluster, load } = await underLoad({ seed: 'twice' })
      cluster.kill(cluster.leader(TOPIC)!, 'power cut')
      await cluster.pass(2 * SESSION_MS)
      load.check()
      return cluster.simulation.trace.hash
    }
    expect(await life()).toBe(await life())
  })
})
