/**
 * What may happen to a broker of a cluster while producers write and consumers follow, short of its death: it stands still
 * for longer than its session and goes on as if nothing had been (F-PAUSE), it is restarted in its turn like all others,
 * or the network takes it from the other brokers, from clients, or from all (F-PART). Our clients write and read, and in the
 * rolling restart kafkajs and, where it is installed, librdkafka write as well. Sends never fail; in the end
 * everything acknowledged is there once, in order, where it was acknowledged, and the replicas are byte for byte the same.
 */
import { afterAll, expect, it } from 'vitest'
import { Client } from '../../src/index.ts'
import { ClientLogs, within } from '../support/client-logs.ts'
import { ClusterLoad } from '../support/cluster-load.ts'
import { ClusterProcesses, SESSION_MS, until } from '../support/cluster-processes.ts'
import { inSync } from '../support/every-broker.ts'
import type { ClusterProcessesOptions } from '../support/cluster-processes.ts'
import { Namespaces } from '../support/namespaces.ts'
import { confluentKafka } from '../support/programs.ts'
import { compareReplicas } from '../support/replica-files.ts'
import { seedFromEnv } from '../support/seed.ts'
import { temporaryDirectory } from '../support/temp-directory.ts'

const TOPIC = 'harmed'
/** The first replica of each leads: three partitions on three brokers, each leads one. */
const ASSIGNMENTS = [
  [1, 2, 3],
  [2, 3, 1],
  [3, 1, 2],
]
/** Clients give up on a broker that does not answer after this long, in ms. */
const REQUEST_MS = 2000
const EAGER = {
  requestTimeoutMs: REQUEST_MS,
  retryBackoffMs: 10,
  retryBackoffMaxMs: 100,
}
/** Acknowledgements that show that all goes on. */
const SOME = 300
/** What one step of a test may take, in ms: fail-over, and time-outs of clients one after the other. */
const STEP_MS_MAX = 20_000
/** Lines of the brokers' logs that a failed step shows. */
const COMPLAINTS_TOLD = 30
/** What a rolling restart may take away of anybody's time, in ms; more would be a broker that left without handing over. */
const RESTART_GAP_MS_MAX = 2 * SESSION_MS

/** What a controller says of a broker that it has not heard for a session, and so not seen off. */
const IS_SILENT = /Broker is silent/

const seed = seedFromEnv('faults of a cluster')
const told: string[] = []
afterAll(() => {
  for (const line of told) console.log(`faults of a cluster: ${line}`)
})

/** A cluster under load, as each of these tests has it. */
class Scene {
  readonly cluster: ClusterProcesses
  readonly load: ClusterLoad
  readonly #clients: readonly Client[]
  readonly #logs: ClientLogs

  private constructor(
    cluster: ClusterProcesses,
    load: ClusterLoad,
    clients: readonly Client[],
    logs: ClientLogs,
  ) {
    this.cluster = cluster
    this.load = load
    this.#clients = clients
    this.#logs = logs
  }

  /** Waits for `work`. @throws When it takes too long, with where everybody stands. */
  step<T>(what: string, work: Promise<T>): Promise<T> {
    const { load, cluster } = this
    return within(what, STEP_MS_MAX, work, () =>
      [...load.describe(), ...this.#logs.lines(), ...cluster.complaints.slice(-COMPLAINTS_TOLD)].join('\n'),
    )
  }

  /** Waits for some more acknowledgements. */
  async more(): Promise<void> {
    await this.step(`${SOME} more acknowledgements`, this.load.more(SOME))
  }

  static async open(options: ClusterProcessesOptions): Promise<Scene> {
    const cluster = await ClusterProcesses.forTest(options)
    const load = new ClusterLoad({ seed, topic: TOPIC, partitions: ASSIGNMENTS.length })
    const logs = new ClientLogs()
    const open = (clientId: string, bootstrap: readonly string[]): Client =>
      new Client({ ...EAGER, bootstrap, clientId, logger: logs.of(clientId) })
    const tcp = open('tcp', cluster.bootstrap)
    const webSocket = open('webSocket', cluster.webSocketUrls)
    const observer = open('observer', cluster.bootstrap)
    await tcp.admin().createTopics([{ name: TOPIC, assignments: ASSIGNMENTS }])
    load.follow('TCP follower', tcp.consumer({ topics: [TOPIC], from: 'beginning' }))
    load.follow('WebSocket follower', webSocket.consumer({ topics: [TOPIC], from: 'beginning' }))
    load.writeSteadily('tcp', tcp.producer())
    load.writeSteadily('webSocket', webSocket.producer())
    return new Scene(cluster, load, [tcp, webSocket, observer], logs)
  }

  get observer(): Client {
    return this.#clients.at(-1)!
  }

  async leaderOf(partition: number): Promise<number | null> {
    const [topic] = await this.observer.admin().describeTopics([TOPIC])
    return topic!.partitions[partition]!.leader
  }

  async controllerId(): Promise<number> {
    const { controllerId } = await this.observer.admin().describeCluster()
    return controllerId!
  }

  /** Resolves when another broker than `nodeId` leads all partitions, as the others tell it. */
  async isReplaced(nodeId: number): Promise<void> {
    const bootstrap = this.cluster.bootstrap.filter((_, index) => index + 1 !== nodeId)
    await this.step(
      `broker ${nodeId} is replaced`,
      this.load.while(
        until(`broker ${nodeId} leads nothing`, async () => {
          await using client = new Client({ bootstrap, ...EAGER, logger: this.#logs.of('looker') })
          const [topic] = await client.admin().describeTopics([TOPIC])
          return topic!.partitions.every(({ leader }) => leader !== null && leader !== nodeId)
        }),
      ),
    )
  }

  async isWhole(): Promise<void> {
    await this.step('all replicas in sync', this.load.while(inSync(this.cluster.bootstrap, TOPIC)))
    await this.more()
  }

  /** Ends the load and checks all that was promised. */
  async end(): Promise<void> {
    const { load, cluster, observer } = this
    await this.step('an outcome for everything sent', load.stop())
    await this.step('all replicas in sync in the end', inSync(cluster.bootstrap, TOPIC))
    const ends = await this.step(
      'ends of the log',
      observer
        .admin()
        .listOffsets(ASSIGNMENTS.map((_, partition) => ({ topic: TOPIC, partition, at: 'latest' as const }))),
    )
    const consumer = observer.consumer({ topics: [TOPIC], from: 'beginning', untilEnd: true })
    const others = this.#clients.slice(0, -1).map((client) => client.close())
    await this.step('closing the clients', Promise.all(others))
    const faults = await this.step('reading all', load.check(consumer))
    await this.step('closing the observer', observer.close())
    await this.step('stopping the cluster', cluster.stop())
    expect(faults).toBe('')
    expect(load.history.count('unknown')).toBe(0)
    expect(cluster.errors).toEqual([])
    for (const { partition, offset } of ends)
      expect(await compareReplicas(cluster.directories, TOPIC, partition, offset!)).toEqual([])
  }
}

it('F-PAUSE: a leader that stands still past its session, and then goes on, acknowledges nothing that is lost', async () => {
  const scene = await Scene.open({ directory: temporaryDirectory('cluster-pause') })
  const { cluster, load } = scene

  for (const nodeId of [2, await scene.controllerId()]) {
    await scene.isWhole()
    const broker = cluster.broker(nodeId)
    broker.pause()
    await scene.isReplaced(nodeId)
    await scene.more()
    broker.resume()
    await scene.isWhole()
    told.push(`paused broker ${nodeId}: longest gap ${Math.round(load.takeLongestGapMs())} ms`)
  }

  await scene.end()
}, 90_000)

it('a rolling restart fails no send of any client, and leaderships are handed over before a broker goes', async () => {
  const scene = await Scene.open({ directory: temporaryDirectory('cluster-rolling') })
  const { cluster, load } = scene
  const librdkafka = confluentKafka()
  load.writeWithKafkajs('kafkajs', cluster.bootstrap)
  if (librdkafka.missing === null)
    load.writeWithLibrdkafka('librdkafka', librdkafka.command, cluster.bootstrap)
  else told.push(`rolling restart: without librdkafka: ${librdkafka.missing}`)
  const gaps: number[] = []

  for (const nodeId of cluster.nodeIds) {
    await scene.isWhole()
    load.takeLongestGapMs()
    await scene.step('a clean stop', load.while(cluster.broker(nodeId).stop()))
    await scene.more()
    gaps.push(Math.round(load.takeLongestGapMs()))
    await scene.step('a start', load.while(cluster.broker(nodeId).restart()))
  }
  await scene.isWhole()
  gaps.push(Math.round(load.takeLongestGapMs()))
  told.push(`rolling restart: longest gaps ${gaps.join(', ')} ms (the last one: while the last comes back)`)

  await scene.end()
  expect(Math.max(...gaps)).toBeLessThan(RESTART_GAP_MS_MAX)
  expect(cluster.complaints.filter((line) => IS_SILENT.test(line))).toEqual([])
}, 90_000)

interface Cut {
  readonly peers: boolean
  readonly clients: boolean
}
const FROM_BROKERS: Cut = { peers: true, clients: false }
const FROM_ALL: Cut = { peers: true, clients: true }
const FROM_CLIENTS: Cut = { peers: false, clients: true }

async function cutOff(scene: Scene, how: string, cuts: readonly Cut[]): Promise<void> {
  const { cluster, load } = scene
  for (const cut of cuts) {
    await scene.isWhole()
    load.takeLongestGapMs()
    const nodeId = cut === FROM_ALL ? await scene.controllerId() : (await scene.leaderOf(0))!
    cluster.isolate(nodeId, cut)
    if (cut.peers) await scene.isReplaced(nodeId)
    await scene.more()
    cluster.heal()
    await scene.isWhole()
    const from = [...(cut.peers ? ['brokers'] : []), ...(cut.clients ? ['clients'] : [])].join(' and ')
    const gapMs = Math.round(load.takeLongestGapMs())
    told.push(`broker ${nodeId} cut off from ${from} by ${how}: longest gap ${gapMs} ms`)
  }
  await scene.end()
}

it('F-PART: a leader cut off from the other brokers, from clients, or from both loses nothing', async () => {
  const scene = await Scene.open({ directory: temporaryDirectory('cluster-cut'), links: true })
  await cutOff(scene, 'proxies', [FROM_BROKERS, FROM_ALL, FROM_CLIENTS])
}, 90_000)

/** LINK_CUTS=3 asks for all of them, as `.ci/run` does: each takes some five seconds. */
const LINK_CUTS = Number(process.env['LINK_CUTS'] ?? '1')
const noNamespaces = Namespaces.missing

it.skipIf(noNamespaces !== null)(
  `F-PART: a broker whose network is gone, link and all, loses nothing${noNamespaces === null ? '' : ` [${noNamespaces}]`}`,
  async () => {
    const namespaces = Namespaces.forTest(ASSIGNMENTS.length)
    const scene = await Scene.open({ directory: temporaryDirectory('cluster-links'), namespaces })
    await cutOff(scene, 'links', [FROM_ALL, FROM_BROKERS, FROM_CLIENTS].slice(0, LINK_CUTS))
  },
  90_000,
)
