/**
 * Decides commands one at a time on top of each other, has their records committed, and knows whether this node may decide
 * at all. Control plane.
 *
 *   inactive ── leads, and has applied all of earlier epochs and the first entry of its own ──> active
 *      ▲                                                                                           │
 *      └────────────── leads no more, or the quorum failed: what is pending is dropped ────────────┘
 *
 * Deciding, folding and appending happen in one turn, so commands are decided one at a time, each on top of all before
 * it, committed or not. When an append is undone, the decisions on top of it are dropped with it and their commands are
 * refused.
 *
 * Invariants:
 * - `tip` is the fold of all records in the log, committed or not; a command is decided only while its end is
 *   `quorum.logEndOffset`.
 * - A command that wrote nothing is answered only after everything it was decided on is committed: nobody hears of a
 *   change that may yet be undone.
 * - What is decided in one epoch of the quorum is appended in that epoch or not at all (faults.md MQ-4, MQ-12).
 */
import type { Cancel, Clock, Logger, Random } from '../env/index.ts'
import type { ClusterImage } from '../metadata/cluster-image.ts'
import { ImageBuilder } from '../metadata/image-builder.ts'
import { decodeMetadataRecord, encodeMetadataRecord } from '../metadata/records.ts'
import type { ErrorName } from '../protocol/errors.ts'
import { QuorumError } from '../raft/metadata-quorum.ts'
import type { MetadataQuorum } from '../raft/metadata-quorum.ts'
import type { Concern, ControllerSettings, DecisionContext } from './concern.ts'
import { MetadataLoader } from './metadata-loader.ts'

export interface ControllerPorts {
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
}

/** How long a command without a time of its own waits for its commit, in ms; Kafka's clients wait 30 s by default. */
export const COMMAND_TIMEOUT_MS = 30_000

/** Longest a client may make a command wait, in ms. */
const COMMAND_TIMEOUT_MS_MAX = 300_000

const STORAGE_FULL = 'The controller’s disk is full, nothing was changed'

export const NOT_ACTIVE = 'The active controller is on another node, or about to be elected'

/** Decided, appended, not committed yet. */
interface PendingChange {
  readonly endOffset: number
  readonly image: ClusterImage
  readonly committed: Promise<number>
}

/** What decisions need to know of the life of brokers. */
export type Sightings = Pick<DecisionContext, 'mayBeAlive' | 'isLeaveKnown' | 'isDeaf'>

export interface DeciderHost {
  /** Decisions begin, in an epoch of the quorum. What is run in this call comes before all other commands. */
  activated(epoch: number): void
  deactivated(): void
  failed(error: QuorumError): void
}

export class Decider {
  readonly loader = new MetadataLoader()
  readonly #ports: ControllerPorts
  readonly #quorum: MetadataQuorum
  readonly #settings: ControllerSettings
  readonly #sightings: Sightings
  readonly #host: DeciderHost
  #pending: PendingChange[] = []
  #failure: QuorumError | null = null
  #isStopped = false
  #activeEpoch: number | null = null
  /** Called when the image, the role or what brokers know has moved. */
  #waiters: (() => void)[] = []

  constructor(
    ports: ControllerPorts,
    quorum: MetadataQuorum,
    settings: ControllerSettings,
    sightings: Sightings,
    host: DeciderHost,
  ) {
    this.#ports = ports
    this.#quorum = quorum
    this.#settings = settings
    this.#sightings = sightings
    this.#host = host
    this.loader.onImage = ({ endOffset }) => {
      this.#pending = this.#pending.filter((change) => change.endOffset > endOffset)
      // The quorum counts the batch as seen only after this call, and may make this node the leader by that.
      void Promise.resolve().then(() => this.#moved())
    }
    this.loader.onRolledBack = (fromOffset) => {
      this.#pending = this.#pending.filter((change) => change.endOffset <= fromOffset)
      this.#moved()
    }
    this.loader.onFailed = (error) => this.#fail(error)
  }

  /** Resolves when all that was committed is replayed; decisions begin when the quorum lets this node lead. */
  async start(): Promise<void> {
    await this.#quorum.subscribe(this.loader)
    this.#moved()
  }

  /** Decides nothing any more. */
  stop(): void {
    this.#isStopped = true
    this.#moved()
  }

  throwIfFailed(): void {
    if (this.#failure !== null) throw this.#failure
  }

  /** Epoch of the quorum in which this node decides; null while it does not. */
  get activeEpoch(): number | null {
    return this.#activeEpoch
  }

  /** Epoch of the quorum. */
  get epoch(): number {
    return this.#quorum.leaderEpoch
  }

  get leaderId(): number | null {
    return this.#quorum.leaderId
  }

  /** Decides a command; resolves with its answer once that holds. Never rejects. */
  async run<Q, R>(concern: Concern<Q, R>, request: Q, timeoutMs = COMMAND_TIMEOUT_MS): Promise<R> {
    const deadlineMs = this.#ports.clock.monotonicMs() + Math.min(timeoutMs, COMMAND_TIMEOUT_MS_MAX)
    // Records of the quorum itself, such as a change of voters, come first; nothing is decided past them.
    while (this.mayDecide() && this.tip.endOffset < this.#quorum.logEndOffset) {
      if (!(await this.#settled(this.nextMove(), deadlineMs)))
        return concern.refuse(request, 'REQUEST_TIMED_OUT', 'The metadata log did not come to rest in time')
    }
    if (!this.mayDecide()) return concern.refuse(request, 'NOT_CONTROLLER', NOT_ACTIVE)
    const image = this.tip
    if (image.endOffset > this.#quorum.logEndOffset) {
      // The quorum is undoing an append that found no room, and has not said yet how far.
      return concern.refuse(request, 'KAFKA_STORAGE_ERROR', STORAGE_FULL)
    }
    let response: R
    let committed: Promise<number> | undefined
    try {
      const decision = concern.decide(request, {
        image,
        nextOffset: image.endOffset,
        random: this.#ports.random,
        settings: this.#settings,
        ...this.#sightings,
      })
      response = decision.response
      const encoded = decision.records.map(encodeMetadataRecord)
      committed = encoded.length > 0 ? this.#append(image, encoded) : this.#pending.at(-1)?.committed
    } catch (error) {
      this.#ports.logger.error('Controller could not decide', {
        error: error instanceof Error ? error : String(error),
      })
      return concern.refuse(
        request,
        'UNKNOWN_SERVER_ERROR',
        'The controller failed in a way it did not expect',
      )
    }
    if (committed === undefined) return response
    try {
      if (await this.#settled(committed, deadlineMs)) return response
      return concern.refuse(
        request,
        'REQUEST_TIMED_OUT',
        'The change was not committed in time, it may be yet',
      )
    } catch (error) {
      const { name, message } = refusalOf(error)
      return concern.refuse(request, name, message)
    }
  }

  /** Whether decisions are taken here: this node leads the quorum and has applied all there was before. */
  mayDecide(): boolean {
    this.#checkRole()
    return this.#activeEpoch !== null
  }

  /** Follows the quorum from one role into the other. */
  #checkRole(): void {
    const leads = this.#failure === null && !this.#isStopped && this.#quorum.leaderId === this.#quorum.nodeId
    const epoch = leads ? this.#quorum.leaderEpoch : null
    if (epoch === this.#activeEpoch) return
    const { nodeId } = this.#settings
    if (this.#activeEpoch !== null) {
      this.#activeEpoch = null
      this.#pending = []
      this.#ports.logger.info('Controller is inactive', { nodeId })
      this.#host.deactivated()
    }
    if (epoch !== null) {
      this.#activeEpoch = epoch
      this.#ports.logger.info('Controller is active', { nodeId, epoch })
      this.#host.activated(epoch)
    }
    this.wake()
  }

  #moved(): void {
    this.#checkRole()
    this.wake()
  }

  /** Lets those look again who wait for a move. */
  wake(): void {
    for (const wake of this.#waiters.splice(0)) wake()
  }

  /** Resolves when the image, the role or what brokers know has moved. */
  nextMove(): Promise<void> {
    return new Promise((resolve) => this.#waiters.push(resolve))
  }

  /** The image of everything in the log, committed or not. */
  get tip(): ClusterImage {
    return this.#pending.at(-1)?.image ?? this.loader.image
  }

  /**
   * Folds and appends the records of one decision. The fold comes first: records that do not fit the image are a defect
   * and must not get into the log, where every replay would trip over them.
   */
  #append(before: ClusterImage, encoded: readonly Uint8Array[]): Promise<number> {
    const builder = new ImageBuilder(before)
    for (const bytes of encoded) builder.replay(decodeMetadataRecord(bytes))
    const endOffset = before.endOffset + encoded.length
    const { image } = builder.finish(endOffset, this.#quorum.leaderEpoch)
    const committed = this.#quorum.append(this.#quorum.leaderEpoch, encoded)
    // A refused append leaves the log as it was; the promise says why.
    if (this.#quorum.logEndOffset === endOffset) this.#pending.push({ endOffset, image, committed })
    return committed
  }

  /** Whether `promise` resolves before `deadlineMs`, in monotonic ms; rejects as it does. */
  async #settled(promise: Promise<unknown>, deadlineMs: number): Promise<boolean> {
    let cancel: Cancel = () => undefined
    const tooLate = new Promise<boolean>((resolve) => {
      const delayMs = Math.max(deadlineMs - this.#ports.clock.monotonicMs(), 0)
      cancel = this.#ports.clock.after(delayMs, () => resolve(false))
    })
    try {
      return await Promise.race([promise.then(() => true), tooLate])
    } finally {
      cancel()
    }
  }

  #fail(error: QuorumError): void {
    if (this.#failure !== null) return
    this.#failure = error
    this.#pending = []
    this.#moved()
    this.#host.failed(error)
  }
}

/** What a client is told of an append that was not committed. */
function refusalOf(error: unknown): { readonly name: ErrorName; readonly message: string } {
  if (!(error instanceof QuorumError))
    return { name: 'UNKNOWN_SERVER_ERROR', message: 'The metadata log failed' }
  switch (error.code) {
    case 'QUORUM_BATCH_TOO_LARGE':
      return { name: 'POLICY_VIOLATION', message: 'The request is too large: split it' }
    case 'QUORUM_BUSY':
      return { name: 'REQUEST_TIMED_OUT', message: 'Too many changes wait to be committed' }
    case 'QUORUM_ROLLED_BACK':
      return { name: 'KAFKA_STORAGE_ERROR', message: STORAGE_FULL }
    case 'QUORUM_NOT_LEADER':
      return { name: 'NOT_CONTROLLER', message: NOT_ACTIVE }
    default:
      // Not NOT_CONTROLLER, on which the asker would do it again: the next controller has the change or has it not.
      return {
        name: 'REQUEST_TIMED_OUT',
        message: 'The controller stopped before the change was committed, it may be yet',
      }
  }
}
