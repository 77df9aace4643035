/**
 * Requests of other nodes, by what their connection is for. The other end has proven which node it is (rpc/peers.ts); what
 * it says about itself beyond that is checked here or by whoever answers (docs/faults.md X4).
 *
 *   control   what the active controller decides; answered here or refused, never passed on
 *   admin     the same, asked by clients of the other node
 *   replica   fetches of a follower, and what it must know to cut its log
 *   forward   requests of clients that came to the other node and are this one's to answer
 */
import type { ApiName, RequestOf, ResponseInputOf } from '../protocol/apis.ts'
import type { RequestPurpose } from '../rpc/peers.ts'
import type { ServerChannel } from '../rpc/server-channel.ts'
import type { ControllerApi } from './controller-gateway.ts'
import { answerForwarded } from './forwarded-requests.ts'
import { isControllerApi } from './local-controller.ts'
import type { BrokerServices } from './services.ts'

/** Who sent a request of a node. */
export interface PeerContext {
  readonly nodeId: number
  readonly purpose: RequestPurpose
  readonly apiVersion: number
  readonly connection: Pick<ServerChannel, 'isEnding' | 'close' | 'watchEnd' | 'unwatchEnd'>
}

/**
 * @param forwarded - What requests of clients may use that come by another node.
 * @returns Null when the request is not one for this purpose.
 */
export function answerPeer(
  services: BrokerServices,
  forwarded: BrokerServices,
  api: ApiName,
  request: unknown,
  from: PeerContext,
): ResponseInputOf<ApiName> | Promise<ResponseInputOf<ApiName>> | null {
  // The name and the request were decoded together; the compiler cannot follow that through a union.
  if ((from.purpose === 'control' || from.purpose === 'admin') && isControllerApi(api)) {
    return services.controller.answerPeer(api, request as RequestOf<ControllerApi>)
  }
  if (from.purpose === 'replica' && api === 'Fetch')
    return services.replicaSessions.serve(request as RequestOf<'Fetch'>, from.nodeId, from.connection)
  if (from.purpose === 'forward' && api === 'Forward')
    return answerForwarded(forwarded, request as RequestOf<'Forward'>, from)
  return null
}
