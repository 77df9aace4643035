/**
 * The shape of everything the controller can be asked: `decide` reads one image and says which records to write and
 * what to answer once they are committed; it changes nothing. The fold of the records (metadata/image-builder.ts) is
 * the only change there is, so a decision can be taken on top of others that are not committed yet, and be dropped
 * with them.
 */
import type { Random } from '../env/index.ts'
import type { ClusterConfig } from '../metadata/broker-config.ts'
import type { ClusterImage } from '../metadata/cluster-image.ts'
import { brokerLayers } from '../metadata/config-resolution.ts'
import type { ConfigLayer } from '../metadata/config-resolution.ts'
import type { ConfigEntries } from '../metadata/config-table.ts'
import type { MetadataRecordInput } from '../metadata/records.ts'
import { errorCode } from '../protocol/errors.ts'
import type { ErrorName } from '../protocol/errors.ts'

export interface Concern<Request, Response> {
  decide(request: Request, context: DecisionContext): Decision<Response>
  /** The answer when nothing was decided, or what was decided is not known to be committed. */
  refuse(request: Request, error: ErrorName, message: string): Response
}

export interface Decision<Response> {
  /** Written as one batch: all or none take effect. */
  readonly records: readonly MetadataRecordInput[]
  /** Given once the records are committed. */
  readonly response: Response
}

export interface DecisionContext {
  /** The cluster with everything decided so far, committed or not. */
  readonly image: ClusterImage
  /** Offset that the first record of this decision gets. */
  readonly nextOffset: number
  readonly random: Random
  readonly settings: ControllerSettings
  /** Whether nothing says yet that the registered broker of this id is dead. */
  readonly mayBeAlive: (brokerId: number) => boolean
  /** Whether all live brokers know where the leaderships went of the broker of this id, which wants to stop. */
  readonly isLeaveKnown: (brokerId: number) => boolean
  /** Whether the broker lives and hears no metadata: see broker-sessions.ts. */
  readonly isDeaf: (brokerId: number) => boolean
}

export interface ControllerSettings {
  readonly nodeId: number
  readonly cluster: ClusterConfig
  /** What the configuration of this broker sets, by key. */
  readonly staticEntries: ConfigEntries
}

/** An outcome for one item of a request: a protocol error with words for people. */
export class Refusal extends Error {
  override readonly name = 'Refusal'
  readonly error: ErrorName

  constructor(error: ErrorName, message: string) {
    super(message)
    this.error = error
  }
}

/** Error code and message as responses carry them. */
export interface Outcome {
  readonly errorCode: number
  readonly errorMessage: string | null
}

export function outcomeOf(error: ErrorName, message: string | null): Outcome {
  return { errorCode: errorCode(error), errorMessage: message }
}

export const SUCCESS: Outcome = { errorCode: 0, errorMessage: null }

/** The layers of configuration below a topic's own, strongest first. */
export function layersBelowTopic({
  image,
  settings,
}: Pick<DecisionContext, 'image' | 'settings'>): readonly ConfigLayer[] {
  return brokerLayers(image, settings.nodeId, settings.staticEntries)
}

/** Names that occur more than once. */
export function repeated(names: Iterable<string>): ReadonlySet<string> {
  const seen = new Set<string>()
  const found = new Set<string>()
  for (const name of names) {
    if (seen.has(name)) found.add(name)
    seen.add(name)
  }
  return found
}
