/**
 * Where to go instead: the leader of a partition that a client asked in vain, and that leader's address, so that it need not
 * ask for metadata first (KIP-951).
 */
import type { ClusterImage } from '../../metadata/cluster-image.ts'
import type { ErrorName } from '../../protocol/errors.ts'

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
  readonly #listenerName: string
  readonly #leaders = new Set<number>()

  /** @param listenerName - The listener the client came by: it is given addresses that it can reach. */
  constructor(image: ClusterImage, listenerName: string) {
    this.#image = image
    this.#listenerName = listenerName
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
      const listener = broker?.listeners.find(({ name }) => name === this.#listenerName)
      if (broker === undefined || listener === undefined) return []
      return [{ nodeId: id, host: listener.host, port: listener.port, rack: broker.rack }]
    })
  }
}
