/**
 * What whoever runs a cluster does to it while it is at work (docs/operations.md): brokers join and leave, votes and replicas move,
 * settings change. One thing at a time takes votes away or disks (atlas.ts), the rest goes on beside anything else.
 */
import { ClientError } from '../../../src/client/client-error.ts'
import { PORT, SESSION_MS } from '../support/sim-cluster.ts'
import type { Host, Settings } from '../support/sim-cluster.ts'
import { changeVoter, VOTERS } from './damage.ts'
import type { Scene } from './scene.ts'
import { anyOf } from './weather.ts'
import { anyHost } from './world.ts'
import type { Fault, World } from './world.ts'

/** Machines of a cluster at most: each costs time to simulate. */
const HOSTS_MAX = 6
const VOTERS_MIN = 3
/** An act is given up after so long, in ms, unless it must be brought to its end. */
const PATIENCE_MS = 10_000
const LONG_MS = 100_000

export const OPERATOR_ACTS: Readonly<Record<string, Fault>> = {
  moveReplicas: (world) => {
    const { cluster, random, scene, places } = world
    if (!cluster.hasImage) return
    const { topic, partition } = anyOf(random, places)
    const { replicas } = cluster.partition(topic, partition)
    const ids = cluster.hosts.map(({ id }) => id)
    const wanted: number[] = []
    while (wanted.length < Math.min(replicas.length, ids.length)) {
      const id = anyOf(random, ids)
      if (!wanted.includes(id)) wanted.push(id)
    }
    scene.work('move replicas', async () => {
      const isOff = random.chance(0.15)
      await scene.admin.alterPartitionReassignments([{ topic, partition, replicas: wanted }])
      await scene.sleep(random.between(10, 500))
      if (isOff) await scene.admin.alterPartitionReassignments([{ topic, partition, replicas: null }])
    })
  },
  electPreferred: (world) => {
    const { scene, places } = world
    scene.work('elect preferred', async () => {
      const results = await scene.admin.electLeaders(places)
      if (results.some(({ isElected }) => isElected)) scene.mark('preferred leader elected')
    })
  },
  changeMinIsr: (world) => {
    const { cluster, random, scene, places } = world
    if (!cluster.hasImage) return
    const { topic, partition } = anyOf(random, places)
    const value = 1 + random.below(cluster.partition(topic, partition).replicas.length)
    const set = { 'min.insync.replicas': value }
    if (!scene.atlas.claim('min.insync.replicas')) return
    scene.work('change min.insync.replicas', () =>
      scene.admin.alterConfigs([{ type: 'topic', name: topic, set }]).finally(() => scene.atlas.giveBack()),
    )
  },
  changeVoters: (world) => {
    const { random, scene } = world
    const host = random.chance(0.4) ? (world.cluster.controller ?? anyHost(world)) : anyHost(world)
    if (scene.isOver || !scene.atlas.claim('voters')) return
    scene.work('change voters', async () => {
      try {
        await scene
          .insist(() => scene.admin.removeVoter(host.id), PATIENCE_MS, isRefusal)
          .catch(() => scene.mark('vote: not taken'))
        await scene.sleep(random.between(0, 2000))
        await changeVoter(scene, host, 'add')
      } finally {
        scene.atlas.giveBack()
      }
    })
  },
  join: (world) => {
    const { cluster, random, scene } = world
    if (cluster.hosts.length >= HOSTS_MAX || scene.isOver || !scene.atlas.claim('join')) return
    scene.work('join', async () => {
      try {
        // A node that has never been there finds who leads by the voters that its settings name.
        const { voters } = await scene.insist(() => scene.admin.describeQuorum(), PATIENCE_MS)
        const named = voters.map(({ nodeId }) => `${nodeId}@b${nodeId}:${PORT}`).join(',')
        if (scene.isOver) return
        const host = cluster.addHost()
        host.settings = { ...host.settings, [VOTERS]: named }
        void cluster.begin(host).catch(() => undefined)
        await scene.until(() => host.broker !== null, LONG_MS)
        const { topic, partition } = anyOf(random, scene.places)
        const { replicas } = cluster.partition(topic, partition)
        const wanted = [host.id, ...replicas.slice(1)]
        await scene.insist(
          () => scene.admin.alterPartitionReassignments([{ topic, partition, replicas: wanted }]),
          PATIENCE_MS,
        )
        if (random.chance(0.5)) await changeVoter(scene, host, 'add')
      } finally {
        scene.atlas.giveBack()
      }
    })
  },
  decommission: (world) => {
    const { cluster, scene } = world
    const host = anyHost(world)
    if (scene.isOver || !cluster.hasImage || cluster.hosts.length <= replicasMax(world)) return
    if (!scene.atlas.claim('decommission')) return
    scene.work('decommission', async () => {
      try {
        await decommission(scene, host)
      } finally {
        scene.atlas.giveBack()
      }
    })
  },
  rollSettings: (world) => {
    const { cluster, random, scene } = world
    const settings = drawSettings(world)
    scene.work('roll settings', async () => {
      for (const host of cluster.hosts) {
        if (scene.isOver) break
        if (host.broker === null || host.isClosing || !cluster.hosts.includes(host)) continue
        const voters = host.settings[VOTERS]
        host.settings = voters === undefined ? settings : { ...settings, [VOTERS]: voters }
        const { generation } = host.node
        await scene.endLife(host, random.chance(0.8) ? 'close' : 'crash')
        if (host.node.generation !== generation || host.node.isUp || !cluster.hosts.includes(host)) continue
        void cluster.revive(host)
        await scene.until(() => scene.atlas.isWhole(host), 3 * SESSION_MS)
      }
    })
  },
}

/** What will not be otherwise however often it is asked for. */
function isRefusal(code: string): boolean {
  return code === 'INVALID_REQUEST' || code === 'VOTER_NOT_FOUND'
}

function replicasMax({ cluster }: World): number {
  let max = 0
  for (const { partitions } of cluster.image.topicsByName.values())
    for (const { replicas } of partitions) max = Math.max(max, replicas.length)
  return max
}

function drawSettings({ random }: World): Settings {
  const sessionMs = anyOf(random, [900, SESSION_MS, 3000])
  return {
    'broker.session.timeout.ms': String(sessionMs),
    'broker.heartbeat.interval.ms': String(sessionMs / 5),
    'log.segment.bytes': String(anyOf(random, [1024, 2048, 100_000])),
    'replica.lag.time.max.ms': String(anyOf(random, [300, 1000, 3000])),
    'fetch.max.bytes': String(anyOf(random, [2000, 60_000_000])),
    'log.tail.cache.bytes': String(anyOf(random, [0, 1000, 1_000_000])),
    'connection.requests.in.flight.max': String(anyOf(random, [1, 2, 100])),
  }
}

/** Looks at a broker that was stopped for good and has something left; 200 ms apart. */
const LOOKS_MAX = 50

/** Its replicas and its vote go to others first; then it stops for good. A cluster that has no room for them keeps it. */
async function decommission(scene: Scene, host: Host): Promise<void> {
  const { cluster } = scene
  const isEmpty = async (): Promise<boolean> => {
    const { leftCount, stuckCount } = await scene.insist(
      () => scene.admin.drainBroker(host.id),
      LONG_MS,
      (code) => code === 'BROKER_ID_NOT_REGISTERED',
    )
    if (stuckCount > 0) throw new StuckError()
    return leftCount === 0
  }
  try {
    for (;;) {
      if (await isEmpty()) break
      await scene.sleep(200)
    }
  } catch (error) {
    if (!(error instanceof StuckError)) throw error
    scene.mark('decommission: no room elsewhere')
    return
  }
  const { voters } = await scene.insist(() => scene.admin.describeQuorum(), LONG_MS)
  const ids = voters.map(({ nodeId }) => nodeId)
  const heir = cluster.hosts.find(({ id, broker }) => !ids.includes(id) && broker !== null)
  if (ids.includes(host.id)) {
    if (heir === undefined && ids.length <= VOTERS_MIN) {
      scene.mark('decommission: nobody to vote in its place')
      return
    }
    if (heir !== undefined) await changeVoter(scene, heir, 'add')
    await changeVoter(scene, host, 'remove')
  }
  await scene.endLife(host, 'close')
  // What was put on it meanwhile goes, too; from a machine that is up, if nobody else has it.
  try {
    for (let looks = 0; !((await isEmpty()) && (await isUnregistered(scene, host))); looks++) {
      if (looks === LOOKS_MAX) {
        void cluster.revive(host)
        await decommission(scene, host)
        return
      }
      await scene.sleep(200)
    }
  } catch (error) {
    if (!(error instanceof StuckError)) throw error
    scene.mark('decommission: no room elsewhere')
    void cluster.revive(host)
    return
  }
  cluster.retire(host)
  scene.mark('decommission: gone')
}

/** @returns False if it got replicas since somebody looked, or is not known to have stopped. */
async function isUnregistered(scene: Scene, host: Host): Promise<boolean> {
  try {
    await scene.insist(() => scene.admin.unregisterBroker(host.id), LONG_MS, isAnswer)
    return true
  } catch (error) {
    if (!(error instanceof ClientError) || !isAnswer(error.code)) throw error
    return error.code === 'BROKER_ID_NOT_REGISTERED'
  }
}

function isAnswer(code: string): boolean {
  return code === 'INVALID_REQUEST' || code === 'BROKER_ID_NOT_REGISTERED'
}

class StuckError extends Error {}
