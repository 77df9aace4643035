/** What the commands about brokers look at together: brokers, and how many replicas each holds and leads. */
import type { BrokerDescription, Client, ClusterDescription, TopicDescription } from '../src/index.ts'
import { CommandError } from './errors.ts'
import { EXIT } from './exit-codes.ts'
import type { Column } from './output.ts'

export interface BrokerRow extends BrokerDescription {
  readonly isController: boolean
  /** Partitions it leads. */
  readonly leaders: number
  readonly replicas: number
  /** Replicas of it that are not in sync. */
  readonly outOfSync: number
}

export interface ClusterView {
  readonly cluster: ClusterDescription
  /** All, internal ones too. */
  readonly topics: readonly TopicDescription[]
  readonly brokers: readonly BrokerRow[]
}

export const BROKER_COLUMNS: readonly Column<BrokerRow>[] = [
  { name: 'id', title: 'BROKER', value: ({ id }) => id, unit: 'id' },
  { name: 'address', title: 'ADDRESS', value: addressOf },
  { name: 'rack', title: 'RACK', value: ({ rack }) => rack },
  { name: 'state', title: 'STATE', value: stateOf, style: ({ isFenced }) => (isFenced ? 'red' : 'green') },
  { name: 'isController', title: 'CONTROLLER', value: ({ isController }) => isController },
  { name: 'leaders', title: 'LEADS', value: ({ leaders }) => leaders },
  { name: 'replicas', title: 'REPLICAS', value: ({ replicas }) => replicas },
  {
    name: 'outOfSync',
    title: 'OUT OF SYNC',
    value: ({ outOfSync }) => outOfSync,
    style: ({ outOfSync }) => (outOfSync > 0 ? 'yellow' : null),
  },
]

export async function viewCluster(client: Client): Promise<ClusterView> {
  const admin = client.admin()
  const cluster = await admin.describeCluster()
  const topics = await admin.describeTopics(null)
  const partitions = topics.flatMap((topic) => topic.partitions)
  const brokers = cluster.brokers.map((broker): BrokerRow => {
    const held = partitions.filter(({ replicas }) => replicas.includes(broker.id))
    return {
      ...broker,
      isController: broker.id === cluster.controllerId && !broker.isFenced,
      leaders: partitions.filter(({ leader }) => leader === broker.id).length,
      replicas: held.length,
      outOfSync: held.filter(({ isr }) => !isr.includes(broker.id)).length,
    }
  })
  return { cluster, topics, brokers }
}

/** @throws {CommandError} There is no such broker; names those that there are. */
export function getBroker<B extends BrokerDescription>(brokers: readonly B[], id: number): B {
  const found = brokers.find((broker) => broker.id === id)
  if (found !== undefined) return found
  throw new CommandError(
    EXIT.notFound,
    `Cannot find broker ${id}: the cluster has ${brokers.map((broker) => broker.id).join(', ')}`,
    'See them with `millrace broker list`',
  )
}

export function addressOf({ host, port }: BrokerDescription): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port}`
}

function stateOf({ isFenced }: BrokerDescription): string {
  return isFenced ? 'down' : 'live'
}
