/**
 * Membership of brokers (KIP-631): registration, heartbeats, and leaving.
 *
 *   absent ── register ──> fenced ── heartbeat, caught up ──> live ── fence, or register again ──> fenced
 *
 * A broker registers once for each process (incarnation) and gets an epoch, the offset of its registration. The
 * registration takes it out of all leaderships that an earlier incarnation held; the heartbeat that unfences it elects
 * it anew where it may lead. So no incarnation goes on with the leader epochs of another, whatever it lost on the way.
 */
import { ZERO_UUID, isUuidText } from '../bytes/uuid.ts'
import type { BrokerImage, ListenerImage } from '../metadata/cluster-image.ts'
import { FEATURES } from '../metadata/features.ts'
import { REGISTRATION_ITEMS_MAX, REGISTRATION_TEXT_LENGTH_MAX } from '../metadata/limits.ts'
import type { MetadataRecordInput } from '../metadata/records.ts'
import type { ErrorName } from '../protocol/errors.ts'
import { Refusal } from './concern.ts'
import type { Concern, Decision, DecisionContext } from './concern.ts'
import { electBack, electWithout } from './elections.ts'

export interface RegisterBroker {
  readonly brokerId: number
  /** Chosen anew by each process. */
  readonly incarnationId: string
  readonly listeners: readonly ListenerImage[]
  readonly rack: string | null
  /** Ids of its data directories. */
  readonly logDirs: readonly string[]
}

export interface BrokerRegistered {
  readonly error: ErrorName
  readonly errorMessage: string | null
  /** -1 unless `error` is `NONE`. */
  readonly brokerEpoch: number
}

export interface BrokerHeartbeat {
  readonly brokerId: number
  readonly brokerEpoch: number
  /** Offset after the last metadata record that the broker has put into effect. */
  readonly metadataEndOffset: number
  readonly wantsFence: boolean
  readonly wantsShutdown: boolean
}

export interface BrokerHeartbeatAnswer {
  readonly error: ErrorName
  readonly errorMessage: string | null
  readonly isCaughtUp: boolean
  readonly isFenced: boolean
  readonly mayShutDown: boolean
}

export interface UnregisterBroker {
  readonly brokerId: number
}

export interface BrokerUnregistered {
  readonly error: ErrorName
  readonly errorMessage: string | null
}

export const registerBroker: Concern<RegisterBroker, BrokerRegistered> = {
  decide: (request, context) => attempt(registerBroker, request, () => register(request, context)),
  refuse: (_request, error, errorMessage) => ({ error, errorMessage, brokerEpoch: -1 }),
}

export const brokerHeartbeat: Concern<BrokerHeartbeat, BrokerHeartbeatAnswer> = {
  decide: (request, context) => attempt(brokerHeartbeat, request, () => heartbeat(request, context)),
  refuse: (_request, error, errorMessage) => ({
    error,
    errorMessage,
    isCaughtUp: false,
    isFenced: true,
    mayShutDown: false,
  }),
}

export const unregisterBroker: Concern<UnregisterBroker, BrokerUnregistered> = {
  decide: (request, context) => attempt(unregisterBroker, request, () => unregister(request, context)),
  refuse: (_request, error, errorMessage) => ({ error, errorMessage }),
}

/** Fences a broker whose heartbeats have stopped. Nothing changes if it is fenced or gone. */
export const fenceBroker: Concern<{ readonly brokerId: number }, BrokerUnregistered> = {
  decide({ brokerId }, context) {
    const broker = context.image.brokers.get(brokerId)
    const records = broker === undefined || broker.isFenced ? [] : fence(broker, context)
    return { records, response: { error: 'NONE', errorMessage: null } }
  },
  refuse: (_request, error, errorMessage) => ({ error, errorMessage }),
}

function register(request: RegisterBroker, context: DecisionContext): Decision<BrokerRegistered> {
  const { brokerId, incarnationId, listeners, rack, logDirs } = request
  checkRegistration(request)
  const current = context.image.brokers.get(brokerId)
  if (current?.incarnationId === incarnationId) {
    return { records: [], response: { error: 'NONE', errorMessage: null, brokerEpoch: current.epoch } }
  }
  if (current !== undefined && !current.isFenced && context.hasSession(brokerId)) {
    throw new Refusal('DUPLICATE_BROKER_REGISTRATION', `Broker ${brokerId} is alive in another process`)
  }
  const brokerEpoch = context.nextOffset
  const registration: MetadataRecordInput = {
    kind: 'registerBroker',
    brokerId,
    incarnationId,
    brokerEpoch,
    endPoints: listeners,
    features: [...FEATURES].map(([name, { min, max }]) => ({
      name,
      minSupportedVersion: min,
      maxSupportedVersion: max,
    })),
    rack,
    fenced: true,
    logDirs,
  }
  const records = [registration, ...electWithout(brokerId, context)]
  return { records, response: { error: 'NONE', errorMessage: null, brokerEpoch } }
}

function checkRegistration({ brokerId, incarnationId, listeners, rack, logDirs }: RegisterBroker): void {
  const refuse = (problem: string): never => {
    throw new Refusal('INVALID_REGISTRATION', `Cannot register broker ${brokerId}: ${problem}`)
  }
  if (!Number.isInteger(brokerId) || brokerId < 0 || brokerId >= 2 ** 31)
    refuse('its id must be from 0 to 2147483647')
  if (!isUuidText(incarnationId) || incarnationId === ZERO_UUID) refuse('it has no incarnation id')
  if (listeners.length === 0) refuse('it has no listener')
  if (listeners.length > REGISTRATION_ITEMS_MAX || logDirs.length > REGISTRATION_ITEMS_MAX) {
    refuse(`it has more than ${REGISTRATION_ITEMS_MAX} listeners or directories`)
  }
  if (new Set(listeners.map(({ name }) => name)).size < listeners.length)
    refuse('two listeners have one name')
  const texts = [rack ?? '', ...listeners.flatMap(({ name, host }) => [name, host])]
  if (texts.some((text) => text.length > REGISTRATION_TEXT_LENGTH_MAX)) {
    refuse(`a name is longer than ${REGISTRATION_TEXT_LENGTH_MAX} characters`)
  }
  if (listeners.some(({ port }) => port < 1 || port > 65_535)) refuse('a listener has no port')
}

function heartbeat(request: BrokerHeartbeat, context: DecisionContext): Decision<BrokerHeartbeatAnswer> {
  const broker = getBroker(request.brokerId, context)
  if (broker.epoch !== request.brokerEpoch) {
    throw new Refusal(
      'STALE_BROKER_EPOCH',
      `Broker ${broker.id} has epoch ${broker.epoch}, the heartbeat names ${request.brokerEpoch}`,
    )
  }
  // Caught up: it has seen its own registration, and with it all that was decided about its earlier incarnation.
  const isCaughtUp = request.metadataEndOffset > broker.epoch
  const shouldBeFenced = request.wantsFence || request.wantsShutdown || (broker.isFenced && !isCaughtUp)
  const records =
    shouldBeFenced === broker.isFenced
      ? []
      : shouldBeFenced
        ? fence(broker, context)
        : unfence(broker, context)
  const response: BrokerHeartbeatAnswer = {
    error: 'NONE',
    errorMessage: null,
    isCaughtUp,
    isFenced: shouldBeFenced,
    mayShutDown: request.wantsShutdown,
  }
  return { records, response }
}

function unregister({ brokerId }: UnregisterBroker, context: DecisionContext): Decision<BrokerUnregistered> {
  const broker = getBroker(brokerId, context)
  if (context.hasSession(brokerId) && !broker.isFenced) {
    throw new Refusal('INVALID_REQUEST', `Broker ${brokerId} is alive: stop it first`)
  }
  const record: MetadataRecordInput = { kind: 'unregisterBroker', brokerId, brokerEpoch: broker.epoch }
  return {
    records: [...electWithout(brokerId, context), record],
    response: { error: 'NONE', errorMessage: null },
  }
}

function fence(broker: BrokerImage, context: DecisionContext): MetadataRecordInput[] {
  return [change(broker, 1), ...electWithout(broker.id, context)]
}

function unfence(broker: BrokerImage, context: DecisionContext): MetadataRecordInput[] {
  return [change(broker, -1), ...electBack(broker.id, context)]
}

function change(broker: BrokerImage, fenced: 1 | -1): MetadataRecordInput {
  return { kind: 'brokerRegistrationChange', brokerId: broker.id, brokerEpoch: broker.epoch, fenced }
}

function getBroker(brokerId: number, { image }: DecisionContext): BrokerImage {
  const broker = image.brokers.get(brokerId)
  if (broker === undefined) throw new Refusal('BROKER_ID_NOT_REGISTERED', `There is no broker ${brokerId}`)
  return broker
}

function attempt<Q, R>(concern: Concern<Q, R>, request: Q, task: () => Decision<R>): Decision<R> {
  try {
    return task()
  } catch (error) {
    if (!(error instanceof Refusal)) throw error
    return { records: [], response: concern.refuse(request, error.error, error.message) }
  }
}
