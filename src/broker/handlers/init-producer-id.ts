/**
 * InitProducerId (API key 22): gives an idempotent producer an id that no producer ever had (KIP-98).
 *
 * Every call gives a new id with epoch 0, also one that asks to bump the epoch of its old id (KIP-360): the ids of
 * producers without a transactional id are not kept anywhere, and a fresh id serves the same end.
 *
 * A transactional id is refused with UNSUPPORTED_VERSION, which clients report as what it is: this broker has no
 * transactions.
 */
import type { RequestOf, ResponseInputOf } from '../../protocol/apis.ts'
import { errorCode } from '../../protocol/errors.ts'
import type { ErrorName } from '../../protocol/errors.ts'
import type { BrokerServices } from '../services.ts'

type Response = ResponseInputOf<'InitProducerId'>

export async function handleInitProducerId(
  services: BrokerServices,
  request: RequestOf<'InitProducerId'>,
): Promise<Response> {
  if (request.transactionalId !== null) return refused('UNSUPPORTED_VERSION')
  const producerId = await services.producerIds.next()
  if (producerId === null) return refused('COORDINATOR_NOT_AVAILABLE')
  return { throttleTimeMs: 0, errorCode: 0, producerId, producerEpoch: 0 }
}

function refused(error: ErrorName): Response {
  return { throttleTimeMs: 0, errorCode: errorCode(error), producerId: -1, producerEpoch: -1 }
}
