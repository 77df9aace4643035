/**
 * What the state machine of one shard may use: one partition of `__consumer_offsets`, in one leader epoch. Whoever leads the
 * partition gives it (runtime.ts); a new leader epoch has a new shard with a new context.
 *
 * Invariant (faults.md G4, G5): an answer that tells of state, or that a change was made, leaves only after a `write` that
 * began at or after that state was seen has resolved.
 */
import type { Clock, Logger, Random } from '../env/index.ts'
import type { ClusterImage } from '../metadata/cluster-image.ts'
import type { ErrorName } from '../protocol/errors.ts'
import type { GroupConfig } from './group-config.ts'
import type { CoordinatorRecord } from './records/coordinator-record.ts'

export interface ShardContext {
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  readonly config: GroupConfig
  /** The committed cluster as this broker knows it now. */
  readonly image: () => ClusterImage
  /** Most bytes that one `write` may take (batch-size.ts), as the topic is set now. */
  readonly batchBytesMax: () => number

  /**
   * Appends the records as one batch, all or none, and replays each into the state within this call; resolves when they and
   * all that was appended before are committed in this leader epoch. No records: waits for what was appended before.
   *
   * @throws {CoordinatorFailure} (as a rejection) when that will not be known. If the append itself was refused, nothing was
   *   replayed; if it was made, the shard is closed, and the records may or may not be in the log.
   */
  write(records: readonly CoordinatorRecord[]): Promise<void>
}

/** Why a coordinator cannot answer: what a client is told, nearly always to look for the coordinator again. */
export class CoordinatorFailure extends Error {
  override readonly name = 'CoordinatorFailure'
  readonly code = 'COORDINATOR_FAILED'
  /** `COORDINATOR_NOT_AVAILABLE`, `COORDINATOR_LOAD_IN_PROGRESS`, `NOT_COORDINATOR` and the like. */
  readonly error: ErrorName

  constructor(error: ErrorName, message: string, options?: ErrorOptions) {
    super(message, options)
    this.error = error
  }
}
