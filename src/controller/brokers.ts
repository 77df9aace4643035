/**
 * Membership of brokers (KIP-631): registration, heartbeats, and leaving.
 *
 *   absent ── register ──> fenced ── heartbeat, caught up ──> live ── silence, or register again ──> fenced
 *                            ▲                                 │
 *                            └── all who live know who leads ── wants to shut down: others lead
 *
 * A broker registers once for each process (incarnation) and gets an epoch, the offset of its registration. The
 * registration takes it out of all leaderships that an earlier incarnation held; the heartbeat that unfences it elects
 * it anew where it may lead. So no incarnation goes on with the leader epochs of another, whatever it lost on the way.
 * One that cannot show that its predecessor stopped cleanly may have lost what that one had in memory, and is taken out
 * of the eligible replicas, too (KIP-966, faults.md RP-11, RP-12).
 */
import { ZERO_UUID, isUuidText } from '../bytes/uuid.ts'
import type { BrokerImage, ListenerImage } from '../metadata/cluster-image.ts'
import { FEATURES } from '../metadata/features.ts'
import { REGISTRATION_ITEMS_MAX, REGISTRATION_TEXT_LENGTH_MAX } from '../metadata/limits.ts'
import type { MetadataRecordInput } from '../metadata/records.ts'
import type { ErrorName } from '../protocol/errors.ts'
import { Refusal } from './concern.ts'
import type { Concern, Decision, DecisionContext } from './concern.ts'
import { electAway, electBack, electWithout } from './elections.ts'

export interface RegisterBroker {
  readonly brokerId: number
  /** Chosen anew by each process. */
  readonly incarnationId: string
  readonly listeners: readonly ListenerImage[]
  readonly rack: string | null
  /** Ids of its data directories. */
  readonly logDirs: readonly string[]
  /** Levels of features that this process understands. Default: those of the controller, whose process it shares. */
  readonly features?: readonly {
    readonly name: string
    readonly minSupportedVersion: number
    readonly maxSupportedVersion: number
  }[]
  /**
   * Epoch of the incarnation after which these directories surely hold everything it had acknowledged: that of the last
   * one, if it stopped cleanly. It must be kept with the mark of the clean stop: the epoch of an older incarnation would
   * hide that a later one lost something. Default -1: nothing is sure.
   */
  readonly previousBrokerEpoch?: number
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
  /** It may stop: leaderships that others could take are theirs, and all live brokers know it. */
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

export interface FenceBroker {
  readonly brokerId: number
  /** Asked when it is decided: a sign of life may have come while another change was waited for. */
  readonly isStillSilent: () => boolean
}

/** Fences a broker whose heartbeats have stopped. Nothing changes if it is fenced or gone. */
export const fenceBroker: Concern<FenceBroker, BrokerUnregistered> = {
  decide({ brokerId, isStillSilent }, context) {
    const broker = context.image.brokers.get(brokerId)
    const isDue = broker !== undefined && !broker.isFenced && isStillSilent()
    const records = isDue ? fence(broker, context) : []
    return { records, response: { error: 'NONE', errorMessage: null } }
  },
  refuse: (_request, error, errorMessage) => ({ error, errorMessage }),
}

function register(request: RegisterBroker, context: DecisionContext): Decision<BrokerRegistered> {
  const { brokerId, incarnationId, listeners, rack, logDirs, previousBrokerEpoch = -1 } = request
  checkRegistration(request)
  checkFeatures(request, context)
  const current = context.image.brokers.get(brokerId)
  if (current?.incarnationId === incarnationId) {
    return { records: [], response: { error: 'NONE', errorMessage: null, brokerEpoch: current.epoch } }
  }
  if (
    current !== undefined &&
    !current.isFenced &&
    context.mayBeAlive(brokerId) &&
    !isSameDisk(current, request)
  ) {
    throw new Refusal('DUPLICATE_BROKER_REGISTRATION', `Broker ${brokerId} is alive in another process`)
  }
  const brokerEpoch = context.nextOffset
  const registration: MetadataRecordInput = {
    kind: 'registerBroker',
    brokerId,
    incarnationId,
    brokerEpoch,
    endPoints: listeners,
    features: featuresOf(request),
    rack,
    fenced: true,
    logDirs,
  }
  const isClean =
    current !== undefined &&
    previousBrokerEpoch === current.epoch &&
    isSameDisk(current, request) &&
    logDirs.length === current.logDirs.length
  const records = [registration, ...electWithout(brokerId, !isClean, context)]
  return { records, response: { error: 'NONE', errorMessage: null, brokerEpoch } }
}

function featuresOf({ features }: RegisterBroker): NonNullable<RegisterBroker['features']> {
  if (features !== undefined) return features
  return [...FEATURES].map(([name, { min, max }]) => ({
    name,
    minSupportedVersion: min,
    maxSupportedVersion: max,
  }))
}

/** A broker that does not understand what is in the metadata log, or may come into it, must not follow it. */
function checkFeatures(request: RegisterBroker, { image }: DecisionContext): void {
  const features = featuresOf(request)
  for (const [name, level] of image.features) {
    const found = features.find((feature) => feature.name === name)
    if (found !== undefined && found.minSupportedVersion <= level && level <= found.maxSupportedVersion)
      continue
    const range =
      found === undefined ? 'none' : `${found.minSupportedVersion} to ${found.maxSupportedVersion}`
    const problem = `the cluster runs ${name} at level ${level}, the broker understands ${range}`
    throw new Refusal('UNSUPPORTED_VERSION', `Cannot register broker ${request.brokerId}: ${problem}`)
  }
}

/** A data directory is locked by one process, so the one that is registered has ended, whatever its session says. */
function isSameDisk(current: BrokerImage, { logDirs }: RegisterBroker): boolean {
  return logDirs.length > 0 && logDirs.every((id) => id !== ZERO_UUID && current.logDirs.includes(id))
}

function checkRegistration(request: RegisterBroker): void {
  const { brokerId, incarnationId, listeners, rack, logDirs, features = [] } = request
  const refuse = (problem: string): never => {
    throw new Refusal('INVALID_REGISTRATION', `Cannot register broker ${brokerId}: ${problem}`)
  }
  if (!Number.isInteger(brokerId) || brokerId < 0 || brokerId >= 2 ** 31)
    refuse('its id must be from 0 to 2147483647')
  if (!isUuidText(incarnationId) || incarnationId === ZERO_UUID) refuse('it has no incarnation id')
  if (listeners.length === 0) refuse('it has no listener')
  const counts = [listeners.length, logDirs.length, features.length]
  if (counts.some((count) => count > REGISTRATION_ITEMS_MAX))
    refuse(`it has more than ${REGISTRATION_ITEMS_MAX} listeners, directories or features`)
  if (new Set(listeners.map(({ name }) => name)).size < listeners.length)
    refuse('two listeners have one name')
  const texts = [
    rack ?? '',
    ...listeners.flatMap(({ name, host }) => [name, host]),
    ...features.map(({ name }) => name),
  ]
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
  if (request.wantsShutdown) return leave(broker, isCaughtUp, context)
  // Who wanted to stop is not let in again: its next incarnation is.
  const shouldBeFenced = broker.isInControlledShutdown
    ? broker.isFenced
    : request.wantsFence || (broker.isFenced && !isCaughtUp)
  const records =
    shouldBeFenced === broker.isFenced
      ? []
      : shouldBeFenced
        ? fence(broker, context)
        : unfence(broker, context)
  return { records, response: beat({ isCaughtUp, isFenced: shouldBeFenced, mayShutDown: false }) }
}

/** Others take what they can; once all who live know that, the broker may go, and what nobody could take goes with it. */
function leave(
  broker: BrokerImage,
  isCaughtUp: boolean,
  context: DecisionContext,
): Decision<BrokerHeartbeatAnswer> {
  if (broker.isFenced)
    return { records: [], response: beat({ isCaughtUp, isFenced: true, mayShutDown: true }) }
  const moves = electAway(broker.id, context)
  if (moves.length > 0) {
    const mark: MetadataRecordInput[] = broker.isInControlledShutdown
      ? []
      : [
          {
            kind: 'brokerRegistrationChange',
            brokerId: broker.id,
            brokerEpoch: broker.epoch,
            inControlledShutdown: 1,
          },
        ]
    const records = [...mark, ...moves]
    return { records, response: beat({ isCaughtUp, isFenced: false, mayShutDown: false }) }
  }
  if (broker.isInControlledShutdown && !context.isLeaveKnown(broker.id))
    return { records: [], response: beat({ isCaughtUp, isFenced: false, mayShutDown: false }) }
  return {
    records: fence(broker, context),
    response: beat({ isCaughtUp, isFenced: true, mayShutDown: true }),
  }
}

function beat(
  answer: Pick<BrokerHeartbeatAnswer, 'isCaughtUp' | 'isFenced' | 'mayShutDown'>,
): BrokerHeartbeatAnswer {
  return { error: 'NONE', errorMessage: null, ...answer }
}

function unregister({ brokerId }: UnregisterBroker, context: DecisionContext): Decision<BrokerUnregistered> {
  const broker = getBroker(brokerId, context)
  if (!broker.isFenced) throw new Refusal('INVALID_REQUEST', `Broker ${brokerId} is alive: stop it first`)
  const heldCount = replicaCountOf(brokerId, context)
  if (heldCount > 0) {
    const problem = `it holds replicas of ${heldCount} partitions, which must be moved to other brokers first`
    throw new Refusal('INVALID_REQUEST', `Broker ${brokerId} cannot be removed: ${problem}`)
  }
  const record: MetadataRecordInput = { kind: 'unregisterBroker', brokerId, brokerEpoch: broker.epoch }
  return { records: [record], response: { error: 'NONE', errorMessage: null } }
}

function replicaCountOf(brokerId: number, { image }: DecisionContext): number {
  let count = 0
  for (const topic of image.topicsById.values())
    for (const { replicas } of topic.partitions) if (replicas.includes(brokerId)) count++
  return count
}

function fence(broker: BrokerImage, context: DecisionContext): MetadataRecordInput[] {
  return [change(broker, 1), ...electWithout(broker.id, false, context)]
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
