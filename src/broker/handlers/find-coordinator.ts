/**
 * FindCoordinator (API key 10): which broker answers for a group, and where it is for whoever asks.
 *
 * The first to ask has the topic of groups made, and waits until it can be used. Transactional ids and share groups have no
 * coordinator here: UNSUPPORTED_VERSION, as for InitProducerId, which clients report instead of trying again.
 */
import type { RequestOf, ResponseInputOf } from '../../protocol/apis.ts'
import { errorCode } from '../../protocol/errors.ts'
import type { ErrorName } from '../../protocol/errors.ts'
import { findClientAddress } from '../client-addresses.ts'
import type { BrokerServices, RequestContext } from '../services.ts'

type Request = RequestOf<'FindCoordinator'>
type Response = ResponseInputOf<'FindCoordinator'>
interface Found {
  readonly key: string
  /** -1 on error, as the port. */
  readonly nodeId: number
  readonly host: string
  readonly port: number
  readonly errorCode: number
  readonly errorMessage: string | null
}

const GROUP = 0
/** Version from which several keys may be asked for (KIP-699). */
const SEVERAL_SINCE_VERSION = 4
/** Keys in a request: what tools ask for in one go, and an answer of 10 MB at worst. */
const KEYS_MAX = 10_000

export async function handleFindCoordinator(
  services: BrokerServices,
  request: Request,
  context: RequestContext,
): Promise<Response> {
  const { keyType } = request
  const isSeveral = context.apiVersion >= SEVERAL_SINCE_VERSION
  const keys = isSeveral ? request.coordinatorKeys : [request.key]
  if (keyType === GROUP) await services.groups.ensureTopic()
  const found = keys.map((key) =>
    keys.length > KEYS_MAX
      ? failure(key, 'INVALID_REQUEST', `Expected at most ${KEYS_MAX} keys: found ${keys.length}`)
      : find(services, key, keyType, context),
  )
  if (isSeveral) return { throttleTimeMs: 0, coordinators: found }
  const { nodeId, host, port, errorCode: code, errorMessage } = found[0]!
  return { throttleTimeMs: 0, errorCode: code, errorMessage, nodeId, host, port }
}

function find(services: BrokerServices, key: string, keyType: number, context: RequestContext): Found {
  if (keyType !== GROUP) {
    return failure(key, 'UNSUPPORTED_VERSION', `Expected key type ${GROUP} (groups): found ${keyType}`)
  }
  const id = services.groups.findCoordinator(key)
  const broker = id === null ? undefined : services.image().brokers.get(id)
  const isLive = broker !== undefined && !broker.isFenced
  const address = isLive ? findClientAddress(services.config, context, broker) : null
  if (broker === undefined || address === null) {
    return failure(key, 'COORDINATOR_NOT_AVAILABLE', 'The group has no coordinator that can be reached')
  }
  return { key, nodeId: broker.id, ...address, errorCode: errorCode('NONE'), errorMessage: null }
}

function failure(key: string, error: ErrorName, errorMessage: string): Found {
  return { key, nodeId: -1, host: '', port: -1, errorCode: errorCode(error), errorMessage }
}
