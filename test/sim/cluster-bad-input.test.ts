/**
 * What is wrong with a node or with its settings, and what the cluster makes of it: the mistake is told in words that say
 * what to do, a start that can never succeed ends, and the cluster that is there takes no harm.
 */
import { describe, expect, it } from 'vitest'
import type { BrokerError } from '../../src/broker/broker-error.ts'
import type { SimNode } from '../../src/env/sim/sim-node.ts'
import { formatSaid, SimCluster, startBroker } from './support/sim-cluster.ts'
import type { Host, Settings } from './support/sim-cluster.ts'

const OTHER_CLUSTER = { 'cluster.id': 'another-cluster-000001' }
const OTHER_VOTERS = { 'controller.quorum.voters': '1@b1:9092,3@b3:9092,4@b4:9092' }

/** What became of a start. */
async function outcomeOf(start: Promise<unknown>): Promise<string> {
  return start.then(
    () => 'it serves',
    (error: unknown) => `${(error as BrokerError).code}: ${(error as Error).message}`,
  )
}

/** A machine beside those of the cluster. */
function machine(cluster: SimCluster, name: string): SimNode {
  const node = cluster.simulation.node(name)
  node.disk.prepareDirectory('/data')
  return node
}

function startOn(
  cluster: SimCluster,
  node: SimNode,
  nodeId: number,
  settings: Settings = {},
): Promise<string> {
  const listeners = `any://${node.name}:9092`
  return outcomeOf(startBroker(node.env, nodeId, { ...cluster.settings, listeners, ...settings }))
}

/** The next life of a broker's machine. */
function begin(cluster: SimCluster, host: Host, settings: Settings = {}): Promise<string> {
  if (host.node.isUp) cluster.kill(host, 'crash')
  host.node.restart()
  return outcomeOf(cluster.begin(host, settings))
}

const told = (cluster: SimCluster, fromMs = 0): string => cluster.saidSince(fromMs).map(formatSaid).join('\n')

describe('a node that does not belong to the cluster', () => {
  it('NW-2, ST-14: does not start with the directory of another cluster', async () => {
    const cluster = await SimCluster.start()
    expect(await cluster.run(begin(cluster, cluster.host(3), OTHER_CLUSTER))).toMatch(
      /^LOG_DIRECTORY_MISMATCH: .*simulated-cluster-0001, and this is cluster another-cluster-000001/,
    )
  })

  it('NW-2: gives up when the others say that it is of another cluster, and its new directory is not bound to that one', async () => {
    const cluster = await SimCluster.start()
    const host = cluster.host(3)
    cluster.kill(host, 'crash')
    cluster.wipe(host)
    const fromMs = cluster.simulation.nowMs

    expect(await cluster.run(begin(cluster, host, OTHER_CLUSTER))).toMatch(
      /^BROKER_REFUSED: Cannot join the cluster as node 3, nodes 1, 2 refused: the other end refuses: cluster "another-cluster-000001" meets node \d of cluster "simulated-cluster-0001".*\. Set cluster\.id to that of the cluster/,
    )
    expect(cluster.simulation.nowMs - fromMs).toBeLessThan(15_000)
    expect(await cluster.run(begin(cluster, host))).toBe('it serves')
    await cluster.untilWhole()
  })

  it('X12: gives up when its secret is not that of the others', async () => {
    const cluster = await SimCluster.start()
    const outcome = startOn(cluster, machine(cluster, 'b4'), 4, {
      'cluster.secret': 'what nobody else knows',
    })

    expect(await cluster.run(outcome)).toMatch(
      /^BROKER_REFUSED: .*the two nodes do not have the same cluster\.secret.*\. Set the same cluster\.secret on every node$/,
    )
    expect(cluster.isWhole, cluster.describe()).toBe(true)
  })

  it('MQ-12: gives up when another process has its number, and is heard at both ends, now and then', async () => {
    const cluster = await SimCluster.start()
    const fromMs = cluster.simulation.nowMs

    expect(await cluster.run(startOn(cluster, machine(cluster, 'twin'), 2))).toMatch(
      /^BROKER_REFUSED: .*node id 2 is taken by \S+, which has another data directory.*\. Stop the other process, or give this one a node\.id/,
    )
    const all = told(cluster, fromMs)
    expect(all).toMatch(/ twin error .*node id 2 is taken by b2:\d+, which has another data directory/)
    expect(all).toMatch(/ b[13] warn .*node id 2 is taken by b2:\d+, which has another data directory/)
    expect(all.split('\n').length, 'said now and then, not at each attempt').toBeLessThan(20)
    await cluster.untilWhole()
  })

  it('M10: is not taken for its twin when it comes back on a new disk while its old connections are not known to be dead', async () => {
    const cluster = await SimCluster.start()
    const host = cluster.host(2)
    cluster.simulation.network.cut('b2', '*')
    cluster.kill(host, 'power cut')
    cluster.wipe(host)
    cluster.simulation.network.heal()

    expect(await cluster.run(begin(cluster, host))).toBe('it serves')
    await cluster.untilWhole()
  })

  it('waits on while others are only not there, and is served by whoever comes back', async () => {
    const cluster = await SimCluster.start()
    for (const host of cluster.hosts) cluster.kill(host, 'crash')
    const fromMs = cluster.simulation.nowMs
    const first = begin(cluster, cluster.host(1))
    await cluster.pass(60_000)
    expect(told(cluster, fromMs)).toMatch(
      / b1 warn Waiting for a majority of the voters 1, 2, 3; node 2: .*; node 3: /,
    )
    const second = begin(cluster, cluster.host(2))
    expect(await cluster.run(Promise.all([first, second]))).toEqual(['it serves', 'it serves'])
  })

  it('ST-14: finds its directory in use by another process', async () => {
    const cluster = await SimCluster.start()
    const settings = { ...cluster.settings, listeners: 'any://b1:9999' }
    const starting = startBroker(cluster.host(1).node.env, 1, settings)
    expect(await cluster.run(outcomeOf(starting))).toMatch(/in use|another process|locked/i)
  })
})

describe('lists of voters that disagree', () => {
  it('MQ-7: do not count once there is a cluster: it goes by its own, and says when a setting names others', async () => {
    const cluster = await SimCluster.start()
    const host = cluster.host(3)
    expect(await cluster.run(begin(cluster, host, OTHER_VOTERS))).toBe('it serves')
    expect((await cluster.describeQuorum()).voters).toEqual([1, 2, 3])
    expect(told(cluster)).toMatch(
      / b3 warn .*names the nodes 1, 3, 4, and the voters of the cluster are 1, 2, 3/,
    )
  })

  it('make no cluster: each node says whose list is another, and they begin when it is corrected', async () => {
    const cluster = new SimCluster()
    const [one, two, three] = cluster.hosts
    const starts = [cluster.begin(one!), cluster.begin(two!)]
    cluster.begin(three!, OTHER_VOTERS).catch(() => undefined)
    await cluster.pass(20_000)

    expect(cluster.hosts.map(({ broker }) => broker)).toEqual([null, null, null])
    const all = told(cluster)
    for (const id of [1, 2])
      expect(all).toMatch(
        new RegExp(
          ` b${id} warn Waiting for the voters 1, 2, 3: a new cluster begins when all of them are up; node 3 goes by the voters 1, 3, 4 and this node by 1, 2, 3: give both the same controller.quorum.voters`,
        ),
      )
    expect(all).toMatch(/ b3 warn .*; node 1 goes by the voters 1, 2, 3 and this node by 1, 3, 4: /)

    const corrected = begin(cluster, three!)
    await cluster.run(Promise.all([...starts, corrected]))
    await cluster.untilWhole()
    expect((await cluster.describeQuorum()).voters).toEqual([1, 2, 3])
  })

  it('make one cluster when one node says that it is alone: the others join it, and say so', async () => {
    const cluster = new SimCluster()
    const [one, ...rest] = cluster.hosts
    const starts = [cluster.begin(one!, { 'controller.quorum.voters': '1@b1:9092' })]
    for (const host of rest) starts.push(cluster.begin(host))
    await cluster.run(Promise.all(starts))

    expect((await cluster.describeQuorum()).voters).toEqual([1])
    expect(told(cluster)).toMatch(
      / b2 warn .*names the nodes 1, 2, 3, and the voters of the cluster are 1: correct/,
    )
  })

  it('MQ-6, M10: two voters that lost their disks make no cluster behind the back of the third', async () => {
    const cluster = await SimCluster.start()
    await cluster.createTopic('kept', { replicationFactor: 3 })
    for (const host of cluster.hosts) cluster.kill(host, 'power cut')
    const [one, two, three] = cluster.hosts
    for (const host of [one!, two!]) {
      cluster.wipe(host)
      void begin(cluster, host)
    }
    await cluster.pass(30_000)
    expect([one!.broker, two!.broker]).toEqual([null, null])
    void begin(cluster, three!)
    await cluster.pass(30_000)
    expect([one!.broker, two!.broker]).toEqual([null, null])
    expect(told(cluster)).toMatch(/ b1 warn Waiting for /)
  })

  it('a list without the node that leads: its node says which address is missing', async () => {
    const cluster = await SimCluster.start()
    const controller = cluster.controller!
    const rest = cluster.hosts.filter((host) => host !== controller).map(({ id }) => `${id}@b${id}:9092`)
    const voters = { 'controller.quorum.voters': rest.join() }
    void startOn(cluster, machine(cluster, 'b4'), 4, voters)
    await cluster.pass(10_000)
    expect(told(cluster)).toMatch(
      new RegExp(
        ` b4 warn .*; node ${controller.id} leads, and controller.quorum.voters does not say where it is: name all voters in it`,
      ),
    )
  })
})
