/**
 * The cluster of simulated machines that the tests here stand on: that of `src/sim/`, with short time-outs, so that much
 * happens in little virtual time (their proportions are those of the defaults), and what only tests want.
 */
import type { Client } from '../../../src/client/client.ts'
import type { ClientOptions } from '../../../src/client/client-options.ts'
import type { ApiName, RequestInputOf, ResponseOf } from '../../../src/protocol/apis.ts'
import { SimCluster as Cluster } from '../../../src/sim/sim-cluster.ts'
import type { SimClusterOptions } from '../../../src/sim/sim-cluster.ts'
import type { Host, Settings } from '../../../src/sim/sim-host.ts'
import { PORT } from '../../../src/sim/sim-host.ts'
import { RawClient } from '../../support/raw-client.ts'

export { CLUSTER_ID, PATIENCE_MS } from '../../../src/sim/sim-cluster.ts'
export type { SimClusterOptions } from '../../../src/sim/sim-cluster.ts'
export { formatSaid } from '../../../src/sim/said.ts'
export type { Said } from '../../../src/sim/said.ts'
export { DIRECTORY, Host, PORT, startBroker } from '../../../src/sim/sim-host.ts'
export type { Death, Settings } from '../../../src/sim/sim-host.ts'

export const SESSION_MS = 1500

/** A minute of a busy cluster has a tenth of this: more is somebody who asks again without a pause. */
const EVENTS_MAX = 3_000_000

const SETTINGS: Settings = {
  'broker.session.timeout.ms': String(SESSION_MS),
  'broker.heartbeat.interval.ms': '333',
  'replica.lag.time.max.ms': '1000',
  'controller.quorum.election.timeout.ms': '150',
  'controller.quorum.fetch.timeout.ms': '600',
  'default.replication.factor': '3',
  'min.insync.replicas': '2',
}

export class SimCluster extends Cluster {
  constructor(options: SimClusterOptions = {}) {
    super({ eventsMax: EVENTS_MAX, ...options, settings: { ...SETTINGS, ...options.settings } })
  }

  /** A cluster of which every broker serves. */
  static async start(options: SimClusterOptions = {}): Promise<SimCluster> {
    const cluster = new SimCluster(options)
    await cluster.begun()
    return cluster
  }

  override client(name: string, options: Partial<ClientOptions> = {}): Client {
    return super.client(name, {
      requestTimeoutMs: 2000,
      connectTimeoutMs: 500,
      retryBackoffMs: 40,
      retryBackoffMaxMs: 400,
      ...options,
    })
  }

  async rawClient(host: Host, name = 'raw'): Promise<RawClient> {
    return new RawClient(
      await this.run(
        this.simulation.env(name).network.connect(`tcp://${host.name}:${PORT}`, {
          timeoutMs: 5000,
          messageBytesMax: 2 ** 27,
          sendHighWaterBytes: 2 ** 20,
        }),
      ),
    )
  }

  /** One request to one broker, on a connection of its own. */
  async call<A extends ApiName>(
    host: Host,
    api: A,
    version: number,
    body: RequestInputOf<A>,
  ): Promise<ResponseOf<A>> {
    const client = await this.rawClient(host)
    const answer = await this.run(client.call(api, version, body))
    client.close()
    return answer
  }

  /** The voters of the metadata quorum, as any broker tells. */
  async describeQuorum(): Promise<{ readonly voters: readonly number[] }> {
    const topics = [{ topicName: '__cluster_metadata', partitions: [{ partitionIndex: 0 }] }]
    const answer = await this.call(this.hosts[0]!, 'DescribeQuorum', 2, { topics })
    const { currentVoters } = answer.topics[0]!.partitions[0]!
    return { voters: currentVoters.map(({ replicaId }) => replicaId) }
  }

  /** Creates a topic as the first broker that can does it. */
  async createTopic(
    name: string,
    options: {
      readonly partitions?: number
      readonly replicationFactor?: number
      readonly assignments?: readonly (readonly number[])[]
      readonly configs?: Settings
    } = {},
  ): Promise<void> {
    const client = this.client('creator')
    await this.run(client.admin().createTopics([{ name, ...options }]))
    await this.run(client.close())
  }
}
