/**
 * The topic of groups and committed offsets, `__consumer_offsets`, and its creation when the first client asks for a
 * coordinator. Control plane.
 *
 * Its replication factor is for good, and decides what a crash may cost. So it is not created with fewer replicas than the
 * cluster could have, only because not all brokers are up yet (KAFKA-3959): brokers that registered, or that vote, count as
 * the cluster's whether they are up or not.
 */
import type { Logger } from '../../env/index.ts'
import { liveBrokers } from '../../metadata/cluster-image.ts'
import type { ClusterImage } from '../../metadata/cluster-image.ts'
import { CONSUMER_OFFSETS_TOPIC } from '../../metadata/topic-name.ts'
import { errorByCode } from '../../protocol/errors.ts'
import type { ErrorName } from '../../protocol/errors.ts'
import type { BrokerConfig } from '../broker-config.ts'
import type { ControllerGateway } from '../controller-gateway.ts'

/** Time for the creation, in ms; below what clients wait for an answer, who then ask again. */
const CREATION_MS = 10_000

/**
 * Largest batch of the topic, in bytes. All of a group is written at once: the record of a classic one, the assignment of one of
 * the consumer protocol, the move between the two. With 10,000 members, the most there may be, that is 2 to 6 MB for the usual
 * member of some 500 bytes; the 1 MiB of other topics would be full with 2,000. Groups that would pass it are refused members.
 */
export const OFFSETS_BATCH_BYTES_MAX = 8_388_608

export interface OffsetsTopicPorts {
  readonly logger: Logger
  readonly config: Pick<
    BrokerConfig,
    'offsetsTopicPartitions' | 'offsetsTopicReplicationFactor' | 'offsetsTopicSegmentBytes' | 'quorumVoters'
  >
  readonly image: () => ClusterImage
  readonly controller: Pick<ControllerGateway, 'call'>
}

export class OffsetsTopic {
  readonly #ports: OffsetsTopicPorts
  /** Under way; whoever else needs the topic waits for it, too. */
  #creation: Promise<void> | null = null

  constructor(ports: OffsetsTopicPorts) {
    this.#ports = ports
  }

  /** Creates the topic unless it is there, and resolves when that is done or has failed. */
  async ensure(): Promise<void> {
    if (this.#ports.image().topicsByName.has(CONSUMER_OFFSETS_TOPIC)) return
    this.#creation ??= this.#create().finally(() => (this.#creation = null))
    await this.#creation
  }

  async #create(): Promise<void> {
    const { config, controller, logger } = this.#ports
    const replicationFactor = this.#replicationFactor()
    if (replicationFactor === null) return
    const request = {
      topics: [
        {
          name: CONSUMER_OFFSETS_TOPIC,
          numPartitions: config.offsetsTopicPartitions,
          replicationFactor,
          assignments: [],
          configs: [
            { name: 'cleanup.policy', value: 'compact' },
            { name: 'max.message.bytes', value: String(OFFSETS_BATCH_BYTES_MAX) },
            { name: 'segment.bytes', value: String(config.offsetsTopicSegmentBytes) },
          ],
        },
      ],
      timeoutMs: CREATION_MS,
      validateOnly: false,
    }
    const { topics } = await controller.call('CreateTopics', request, CREATION_MS)
    const error: ErrorName = errorByCode(topics[0]!.errorCode).name
    // Another broker may have been faster.
    if (error === 'NONE' || error === 'TOPIC_ALREADY_EXISTS') return
    logger.warn('Create the topic of groups: refused, groups have no coordinator', {
      ...{ topic: CONSUMER_OFFSETS_TOPIC, error, reason: topics[0]!.errorMessage },
    })
  }

  /** @returns Null while too few brokers are up. */
  #replicationFactor(): number | null {
    const { config, image: imageNow, logger } = this.#ports
    const image = imageNow()
    const known = new Set([...image.brokers.keys(), ...config.quorumVoters.map(({ nodeId }) => nodeId)])
    const wanted = Math.min(config.offsetsTopicReplicationFactor, known.size)
    const liveCount = liveBrokers(image).length
    if (liveCount >= wanted) return wanted
    logger.warn(
      'The topic of groups is not created yet: too few brokers are up for offsets.topic.replication.factor',
      { topic: CONSUMER_OFFSETS_TOPIC, wanted, live: liveCount },
    )
    return null
  }
}
