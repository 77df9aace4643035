/**
 * The metadata quorum: the Raft core (raft-core.ts) and the driver that does what it says over the log, the file of the
 * epoch, the snapshots and the transport of this node.
 *
 *   <data>/__cluster_metadata-0/   a PartitionLog | *.checkpoint (snapshot-file.ts) | quorum-state (quorum-state.ts)
 *
 * A quorum of one voter is the same thing with nobody to ask: it leads, in a new epoch, as soon as that is durable.
 *
 * Invariants:
 * - Effects are carried out in order, and none before the epoch and vote that came with it are durable (M1, M2, MQ-1).
 * - Nothing counts as durable before its sync: neither for this node's part of the high watermark nor in a fetch (MQ-2).
 * - The core's state changes in `#step` only, in one turn; what takes time comes back as an event.
 * - A failed disk, or a broken invariant, stops the node's part in the quorum for this process's life (D4).
 */
import { assert } from '../base/assert.ts'
import { ZERO_UUID } from '../bytes/uuid.ts'
import type { Cancel, FileError } from '../env/index.ts'
import { findDeviceFailure, isLackOfRoom } from '../log/atomic-file.ts'
import type { PartitionLog } from '../log/partition-log.ts'
import { readBatchHeader } from '../records/batch-header.ts'
import { dataBatch } from './batches.ts'
import { CoreState } from './core-state.ts'
import type { RaftEffect, RoleKind } from './core-state.ts'
import type { VoterChangeRefusal } from './leader.ts'
import { ListenerFeed } from './listener-feed.ts'
import { scanVotersRecords } from './log-reader.ts'
import { METADATA_BATCH_BYTES_MAX, PENDING_APPENDS_MAX, QuorumError } from './metadata-quorum.ts'
import type { HeardLeader, MetadataQuorum, QuorumListener } from './metadata-quorum.ts'
import { MetadataLogView } from './metadata-log-view.ts'
import { openMetadataLog } from './metadata-log.ts'
import type { OpenedMetadataLog } from './metadata-log.ts'
import { writeQuorumState } from './quorum-state.ts'
import type { QuorumState } from './quorum-state.ts'
import { RaftCore } from './raft-core.ts'
import type { RaftEvent } from './raft-core.ts'
import { decodeRaftMessage } from './raft-messages.ts'
import { RaftEffects } from './raft-effects.ts'
import { RAFT_SETTINGS } from './raft-options.ts'
import type { QuorumDescription, RaftPorts, RaftQuorumOptions } from './raft-options.ts'
import { RecoveryPoint } from './recovery-point.ts'
import { SnapshotTaker } from './snapshot-taker.ts'
import { VoterHistory, VoterSet } from './voter-set.ts'
import type { Voter } from './voter-set.ts'

/** How long the epoch's file waits for room on a full disk before the next try, in ms. */
const NO_ROOM_PAUSE_MS = 250

/** How long a node that stops waits for others to commit what it appended, in ms: they take some ten, or are gone. */
const CLOSE_WAIT_MS = 500

export class RaftQuorum implements MetadataQuorum {
  readonly nodeId: number
  readonly #ports: RaftPorts
  readonly #log: PartitionLog
  readonly #directory: string
  readonly #core: RaftCore
  readonly #feed: ListenerFeed
  readonly #snapshots: SnapshotTaker
  readonly #effects: RaftEffects
  readonly #recoveryPoint: RecoveryPoint
  readonly #onDeviceFailed: (cause: FileError) => void
  #failure: QuorumError | null = null
  #isClosing = false
  #isStopped = false
  #isPumping = false
  #persisting: Promise<void> | null = null
  #timer: { readonly atMs: number; readonly cancel: Cancel } | null = null
  #roleCarriedOut: RoleKind = 'unattached'
  /** Called when this node's role, the epoch or the leader changed. For tests and for logs. */
  onRole: (role: RoleKind, epoch: number, leaderId: number | null) => void = () => undefined

  private constructor(
    ports: RaftPorts,
    options: RaftQuorumOptions,
    opened: OpenedMetadataLog,
    voters: VoterHistory,
  ) {
    const { log, directory, snapshot } = opened
    this.nodeId = options.nodeId
    this.#ports = ports
    this.#log = log
    this.#directory = directory
    this.#onDeviceFailed = options.onDeviceFailed ?? (() => undefined)
    const failed = (problem: string, cause: unknown): void => this.#fail(problem, cause)
    this.#recoveryPoint = new RecoveryPoint(ports, directory, (error) =>
      failed('its recovery point could not be written', error),
    )
    this.#snapshots = new SnapshotTaker(ports, {
      ...{ log, directory, voters, failed },
      snapshots: opened.snapshots,
      limits: options,
    })
    this.#feed = new ListenerFeed(log, snapshot, {
      delivered: (listener, count, bytes, timestampMs) => {
        if (!this.#isClosing) this.#snapshots.advance(listener, count, bytes, timestampMs)
      },
      failed,
    })
    this.#core = new RaftCore(
      new CoreState({
        self: { id: options.nodeId, directoryId: options.directoryId ?? ZERO_UUID },
        log: new MetadataLogView(log, () => this.#snapshots.ids),
        voters,
        settings: { ...RAFT_SETTINGS, ...options.settings },
        random: ports.random,
        state: opened.state,
        highWatermark: snapshot?.endOffset ?? 0,
        nowMs: ports.clock.monotonicMs(),
      }),
    )
    this.#effects = new RaftEffects(
      ports,
      {
        ...{ log, directory, nodeId: options.nodeId, transport: options.transport ?? null },
        ...{ feed: this.#feed, snapshots: this.#snapshots, recoveryPoint: this.#recoveryPoint },
      },
      {
        isStopped: () => this.#isStopped,
        leads: (epoch) => this.#core.leader !== null && this.#core.state.epoch === epoch,
        step: (event) => {
          this.#step(event)
        },
        changedRole: (effect) => {
          this.#changeRole(effect)
        },
        failed,
      },
    )
    log.onDurable = () => this.#step({ kind: 'durable' })
    log.onRolledBack = (fromOffset) => this.#rolledBack(fromOffset)
    log.onFailed = (error) => this.#fail('its log failed', error)
    if (options.transport !== undefined) {
      options.transport.onMessage = (fromId, frame) => {
        this.#receive(fromId, frame)
      }
    }
  }

  /**
   * Opens (or on a first start makes) this node's part of the quorum. A node that votes alone leads when this resolves,
   * with everything in its log committed; any other takes part from then on.
   *
   * @throws {QuorumError} `QUORUM_STATE_CORRUPT`, `QUORUM_SNAPSHOT_CORRUPT`, `QUORUM_LOG_CORRUPT`, `QUORUM_FAILED`,
   *   `QUORUM_ROLLED_BACK`.
   * @throws {LogError | FileError} as opening a log does.
   */
  static async open(ports: RaftPorts, options: RaftQuorumOptions): Promise<RaftQuorum> {
    const alone = [{ id: options.nodeId, directoryId: ZERO_UUID }]
    const opened = await openMetadataLog(ports, options)
    let quorum: RaftQuorum | null = null
    try {
      const voters = new VoterHistory(new VoterSet(options.voters ?? alone))
      const { log, snapshot } = opened
      if (snapshot !== null) voters.restart(snapshot.endOffset, snapshot.voters)
      const records = await scanVotersRecords(log, snapshot?.endOffset ?? log.logStartOffset)
      for (const { offset, set } of records) voters.add(offset, set)
      quorum = new RaftQuorum(ports, options, opened, voters)
      await quorum.#start()
      return quorum
    } catch (error) {
      if (quorum === null) await opened.log.close()
      else await quorum.close()
      throw error
    }
  }

  /** This node only once it can decide: all of earlier epochs is committed, and the listener has it. */
  get leaderId(): number | null {
    if (this.#failure !== null || this.#isClosing) return null
    const { leaderId } = this.#core.state
    if (leaderId !== this.nodeId) return leaderId
    const startOffset = this.#core.leader?.epochStartOffset ?? null
    return startOffset !== null && this.#feed.seenOffset > startOffset ? leaderId : null
  }

  get lastLeader(): HeardLeader | null {
    return this.#core.state.lastLeader
  }

  get leaderEpoch(): number {
    return this.#core.state.epoch
  }

  get highWatermark(): number {
    return this.#core.state.highWatermark
  }

  get logEndOffset(): number {
    return this.#log.logEndOffset
  }

  get role(): RoleKind {
    return this.#core.role.kind
  }

  describe(): QuorumDescription {
    const { leaderId, namedLeaderId, epoch, highWatermark, voters, isFounding, strangers } = this.#core.state
    const replicas = [...(this.#core.leader?.tracker.replicas() ?? [])].map((replica) => ({
      id: replica.id,
      directoryId: replica.directoryId,
      logEndOffset: replica.endOffset,
      lastFetchMs: replica.lastFetchMs,
      lastCaughtUpMs: replica.lastCaughtUpMs,
    }))
    return {
      leaderId,
      leaderEpoch: epoch,
      highWatermark,
      durableEndOffset: this.#log.durableEndOffset,
      voters: voters.latest.voters,
      committedVoters: voters.at(highWatermark).voters,
      ...{ isFounding, namedLeaderId, strangers, replicas },
    }
  }

  async append(leaderEpoch: number, records: readonly Uint8Array[]): Promise<number> {
    assert(records.length > 0, 'An append has at least one record')
    this.#throwIfFailed()
    if (this.#isClosing)
      throw new QuorumError('QUORUM_CLOSED', 'Cannot append metadata: the quorum is closed')
    const { epoch } = this.#core.state
    if (leaderEpoch !== epoch || this.leaderId !== this.nodeId) {
      const message = `Cannot append metadata: decided in epoch ${leaderEpoch}, now ${this.leaderId ?? 'nobody'} leads epoch ${epoch}`
      throw new QuorumError('QUORUM_NOT_LEADER', message)
    }
    if (this.#feed.waitingCount >= PENDING_APPENDS_MAX) {
      const message = `Cannot append metadata: ${PENDING_APPENDS_MAX} appends wait to be committed`
      throw new QuorumError('QUORUM_BUSY', message)
    }
    const batch = dataBatch(records, this.#ports.clock.wallTimeMs())
    if (batch.length > METADATA_BATCH_BYTES_MAX) {
      const message = `Cannot append metadata: the change takes ${batch.length} bytes, at most ${METADATA_BATCH_BYTES_MAX} are allowed`
      throw new QuorumError('QUORUM_BATCH_TOO_LARGE', message)
    }
    return this.#append(batch, epoch)
  }

  async subscribe(listener: QuorumListener): Promise<void> {
    this.#throwIfFailed()
    await this.#feed.subscribe(listener, () => this.#throwIfFailed())
  }

  /**
   * Makes `voters` the voters from the next record on: one more, one less, or disks in place of unknown ones. A voter
   * that moved to another disk is removed first and then added (KIP-853).
   *
   * @returns Once the change is committed; or why nothing was changed.
   * @throws {QuorumError} As `append`.
   */
  async changeVoters(voters: readonly Voter[]): Promise<VoterChangeRefusal | 'not-leader' | null> {
    this.#throwIfFailed()
    const refusal = this.#core.changeVoters(voters, this.#ports.clock.monotonicMs())
    if (refusal !== null) return refusal
    const lastOffset = this.#log.logEndOffset
    this.#pump()
    await this.#feed.committed(lastOffset)
    return null
  }

  async close(): Promise<void> {
    if (this.#isClosing) return
    this.#isClosing = true
    await this.#answeredInTime()
    // Whoever has the best log takes over at once instead of missing this node first.
    this.#step({ kind: 'resign' })
    this.#isStopped = true
    this.#timer?.cancel()
    await this.#persisting
    await this.#effects.close()
    await this.#snapshots.idle()
    try {
      await this.#log.close()
    } catch (error) {
      this.#fail('its log could not be closed', error)
    }
    await this.#recoveryPoint.close()
    await this.#feed.stop(new QuorumError('QUORUM_CLOSED', 'Cannot commit metadata: the quorum was closed'))
  }

  /** What was appended is committed; or it takes so long that the others must be gone, too. */
  async #answeredInTime(): Promise<void> {
    let cancel: Cancel = () => undefined
    const tooLate = new Promise<void>((resolve) => {
      const isAlone = this.#core.state.peers.length === 0
      if (!isAlone) cancel = this.#ports.clock.after(CLOSE_WAIT_MS, resolve)
    })
    await Promise.race([this.#feed.answered(), tooLate])
    cancel()
  }

  async #start(): Promise<void> {
    const isAlone = this.#core.role.kind === 'candidate'
    this.#pump()
    if (!isAlone) return
    await this.#persisting
    this.#throwIfFailed()
    const { leader } = this.#core
    if (leader === null || leader.epochStartOffset === null) {
      throw new QuorumError(
        'QUORUM_FAILED',
        'Cannot lead the metadata quorum: its log refused the first record',
      )
    }
    await this.#feed.committed(leader.epochStartOffset)
  }

  #throwIfFailed(): void {
    if (this.#failure !== null) throw this.#failure
  }

  #receive(fromId: number, frame: Uint8Array): void {
    if (this.#isStopped) return
    let message
    try {
      message = decodeRaftMessage(frame)
    } catch (error) {
      this.#ports.logger.warn('Dropped a message of the metadata quorum', { fromId, error: error as Error })
      return
    }
    // The transport knows who is at the other end.
    if (message.fromId === fromId) this.#step({ kind: 'message', message })
  }

  /** The one way to the core's state. */
  #step(event: RaftEvent): void {
    if (this.#isStopped) return
    try {
      this.#core.step(event, this.#ports.clock.monotonicMs())
    } catch (error) {
      this.#fail('an invariant is broken', error)
    }
    this.#pump()
  }

  /** Carries out what the core wants, in this turn as far as nothing has to be waited for. */
  #pump(): void {
    if (this.#isPumping) return
    this.#isPumping = true
    try {
      while (this.#persisting === null && !this.#isStopped) {
        const ready = this.#core.takeReady()
        if (ready === null) break
        if (ready.persist === null) for (const effect of ready.effects) this.#effects.carryOut(effect)
        else this.#persisting = this.#persist(ready.persist, ready.effects)
      }
    } catch (error) {
      this.#fail('what it decided could not be done', error)
    } finally {
      this.#isPumping = false
    }
    this.#setTimer()
  }

  /** Never rejects. */
  async #persist(state: QuorumState, effects: readonly RaftEffect[]): Promise<void> {
    const isDurable = await this.#write(state)
    this.#persisting = null
    if (!isDurable || this.#isStopped) return
    this.#isPumping = true
    try {
      this.#core.step({ kind: 'persisted', state }, this.#ports.clock.monotonicMs())
      for (const effect of effects) this.#effects.carryOut(effect)
    } catch (error) {
      this.#fail('what it decided could not be done', error)
    } finally {
      this.#isPumping = false
    }
    this.#pump()
  }

  /** @returns False if the quorum has stopped instead. */
  async #write(state: QuorumState): Promise<boolean> {
    for (;;) {
      try {
        await writeQuorumState(this.#ports.files, this.#directory, state)
        return true
      } catch (error) {
        const isAlone = this.#core.state.peers.length === 0
        if (!isLackOfRoom(error) || isAlone || this.#isClosing) {
          this.#fail('its epoch could not be written', error)
          return false
        }
        this.#ports.logger.warn('Quorum epoch waits for room on the disk', {
          epoch: state.leaderEpoch,
          error,
        })
        await new Promise<void>((resolve) => this.#ports.clock.after(NO_ROOM_PAUSE_MS, resolve))
      }
    }
  }

  #changeRole({ role, epoch, leaderId }: Extract<RaftEffect, { kind: 'role' }>): void {
    const hasLost = this.#roleCarriedOut === 'leader' && role !== 'leader'
    this.#roleCarriedOut = role
    this.#ports.logger.info('Metadata quorum role', { nodeId: this.nodeId, role, epoch, leaderId })
    if (hasLost) {
      const message = `Cannot tell whether metadata was committed: this node leads no more, now is epoch ${epoch}`
      this.#feed.rolledBack(this.highWatermark, new QuorumError('QUORUM_LEADERSHIP_LOST', message))
    }
    this.onRole(role, epoch, leaderId)
  }

  #append(batch: Uint8Array, epoch: number): Promise<number> {
    const result = this.#log.appendAsLeader(batch, readBatchHeader(batch), epoch)
    if (result.kind === 'rejected') {
      const message = `Cannot append metadata: the log refused it with ${result.error}: ${result.message}`
      // A log that has not failed refuses for a while after its disk was full.
      return Promise.reject(this.#failure ?? new QuorumError('QUORUM_ROLLED_BACK', message))
    }
    assert(result.kind === 'appended', 'Metadata has no producer, so no batch is a duplicate')
    return this.#feed.committed(result.lastOffset)
  }

  #rolledBack(fromOffset: number): void {
    const message = 'Cannot commit metadata: the disk had no room, the change was undone'
    this.#feed.rolledBack(fromOffset, new QuorumError('QUORUM_ROLLED_BACK', message))
    this.#step({ kind: 'rolledBack', fromOffset })
  }

  #setTimer(): void {
    if (this.#isStopped) return
    const { deadlineMs } = this.#core
    if (deadlineMs === Infinity || (this.#timer !== null && this.#timer.atMs <= deadlineMs)) return
    this.#timer?.cancel()
    const delayMs = Math.max(0, deadlineMs - this.#ports.clock.monotonicMs())
    const cancel = this.#ports.clock.after(delayMs, () => {
      this.#timer = null
      this.#step({ kind: 'tick' })
    })
    this.#timer = { atMs: deadlineMs, cancel }
  }

  #fail(problem: string, cause: unknown): void {
    if (this.#failure !== null) return
    const error = new QuorumError('QUORUM_FAILED', `Metadata quorum stopped: ${problem}`, { cause })
    this.#failure = error
    this.#isStopped = true
    this.#timer?.cancel()
    this.#recoveryPoint.stop()
    this.#ports.logger.error(error.message, { cause: cause instanceof Error ? cause : String(cause) })
    this.#feed.fail(error)
    const deviceFailure = findDeviceFailure(cause)
    if (deviceFailure !== null) this.#onDeviceFailed(deviceFailure)
  }
}
