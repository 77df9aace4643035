/**
 * Where to go instead: the leader of a partition that a client asked in vain, and that leader's address, so that it need not
 * ask for metadata first (KIP-951).
 */
import type { BrokerImage, ClusterImage } from '../../metadata/cluster-image.ts'
import type { ErrorName } from '../../protocol/errors.ts'
import { findClientAddress } from '../client-addresses.ts'
import type { Asker, ClientAddress } from '../client-addresses.ts'
import type { BrokerServices } from '../services.ts'

export interface LeaderHint {
  leaderId: number
  leaderEpoch: number
}

export interface NodeEndpoint {
  nodeId: number
  host: string
  port: number
  rack: string | null
}

const NONE = -1
export const NO_HINT: LeaderHint = { leaderId: NONE, leaderEpoch: NONE }

/** Errors that a client gets for asking the wrong broker. */
const WRONG_LEADER: ReadonlySet<ErrorName> = new Set(['NOT_LEADER_OR_FOLLOWER', 'FENCED_LEADER_EPOCH'])

/** The hints of one answer. Made for an answer that has such an error; others need none. */
export class LeaderHints {
  readonly #image: ClusterImage
  readonly #addressOf: (broker: BrokerImage) => ClientAddress | null
  readonly #leaders = new Set<number>()

  /** @param asker - It is given addresses that it can reach. */
  constructor(services: Pick<BrokerServices, 'config' | 'image'>, asker: Asker) {
    this.#image = services.image()
    this.#addressOf = (broker) => findClientAddress(services.config, asker, broker)
  }

  /** Who leads, if `error` says that the client was wrong about it and this broker knows better. */
  hintFor(error: ErrorName, topicName: string, index: number): LeaderHint {
    if (!WRONG_LEADER.has(error)) return NO_HINT
    const partition = this.#image.topicsByName.get(topicName)?.partitions[index]
    if (partition === undefined || partition.leader === null) return NO_HINT
    this.#leaders.add(partition.leader)
    return { leaderId: partition.leader, leaderEpoch: partition.leaderEpoch }
  }

  /** Addresses of the leaders that were hinted at. */
  get endpoints(): NodeEndpoint[] {
    return [...this.#leaders].flatMap((id) => {
      const broker = this.#image.brokers.get(id)
      const address = broker === undefined ? null : this.#addressOf(broker)
      return broker === undefined || address === null ? [] : [{ nodeId: id, ...address, rack: broker.rack }]
    })
  }
}
