/**
 * Blocks of producer ids for brokers (KIP-730). The record that takes a block is committed before the block is handed
 * out, so no id is ever given twice (faults.md P4); what a broker has not used when it stops is lost.
 */
import { PRODUCER_ID_BLOCK_COUNT } from '../metadata/limits.ts'
import type { ErrorName } from '../protocol/errors.ts'
import type { Concern } from './concern.ts'

export interface AllocateProducerIds {
  readonly brokerId: number
  readonly brokerEpoch: number
}

export interface ProducerIdBlock {
  readonly error: ErrorName
  readonly errorMessage: string | null
  /** -1 unless `error` is `NONE`. */
  readonly firstId: number
  readonly count: number
}

export const allocateProducerIds: Concern<AllocateProducerIds, ProducerIdBlock> = {
  decide(request, { image }) {
    const refused = (error: ErrorName, message: string) => ({
      records: [],
      response: allocateProducerIds.refuse(request, error, message),
    })
    const { brokerId, brokerEpoch } = request
    const broker = image.brokers.get(brokerId)
    if (broker === undefined) return refused('BROKER_ID_NOT_REGISTERED', `There is no broker ${brokerId}`)
    if (broker.epoch !== brokerEpoch) {
      return refused(
        'STALE_BROKER_EPOCH',
        `Broker ${brokerId} has epoch ${broker.epoch}, the request names ${brokerEpoch}`,
      )
    }
    const firstId = image.nextProducerId
    const nextProducerId = firstId + PRODUCER_ID_BLOCK_COUNT
    if (!Number.isSafeInteger(nextProducerId))
      return refused('UNKNOWN_SERVER_ERROR', 'All producer ids are used up')
    return {
      records: [{ kind: 'producerIds', brokerId, brokerEpoch, nextProducerId }],
      response: { error: 'NONE', errorMessage: null, firstId, count: PRODUCER_ID_BLOCK_COUNT },
    }
  },

  refuse: (_request, error, errorMessage) => ({ error, errorMessage, firstId: -1, count: 0 }),
}
