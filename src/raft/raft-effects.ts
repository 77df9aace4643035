/**
 * Carries out what the Raft core wants done: messages, appends, cuts, snapshots. Each effect that changes something is
 * told back to the core as an event. What needs the disk's time runs on a queue, one piece at a time, in the core's order.
 */
import { assertNever } from '../base/assert.ts'
import { SerialQueue } from '../base/serial-queue.ts'
import { isLackOfRoom } from '../log/atomic-file.ts'
import { LogError } from '../log/log-error.ts'
import type { LogPorts } from '../log/log-config.ts'
import type { PartitionLog } from '../log/partition-log.ts'
import { readBatchHeader } from '../records/batch-header.ts'
import { leaderChangeBatch, votersBatch } from './batches.ts'
import type { RaftEffect } from './core-state.ts'
import type { ListenerFeed } from './listener-feed.ts'
import { readVotersRecords } from './log-reader.ts'
import type { RaftEvent } from './raft-core.ts'
import { encodeRaftMessage, RAFT_ERRORS } from './raft-messages.ts'
import type { RaftMessage } from './raft-messages.ts'
import type { RaftTransport } from './raft-transport.ts'
import type { RecoveryPoint } from './recovery-point.ts'
import { readSnapshotChunk, SnapshotReceiver } from './snapshot-install.ts'
import type { SnapshotTaker } from './snapshot-taker.ts'

/** Operations of a follower on its log and of a leader for its followers: each node has one under way. */
const DISK_WORK_MAX = 10_000

/** What effects work on. */
export interface EffectParts {
  readonly log: PartitionLog
  readonly directory: string
  readonly nodeId: number
  readonly transport: RaftTransport | null
  readonly feed: ListenerFeed
  readonly snapshots: SnapshotTaker
  readonly recoveryPoint: RecoveryPoint
}

/** The driver, as effects see it. */
export interface EffectHost {
  isStopped(): boolean
  /** Whether this node leads that epoch now. */
  leads(epoch: number): boolean
  step(event: RaftEvent): void
  changedRole(effect: Extract<RaftEffect, { kind: 'role' }>): void
  failed(problem: string, cause: unknown): void
}

export class RaftEffects {
  readonly #ports: LogPorts
  readonly #host: EffectHost
  readonly #log: PartitionLog
  readonly #directory: string
  readonly #nodeId: number
  readonly #transport: RaftTransport | null
  readonly #feed: ListenerFeed
  readonly #snapshots: SnapshotTaker
  readonly #recoveryPoint: RecoveryPoint
  readonly #receiver: SnapshotReceiver
  readonly #diskWork = new SerialQueue(DISK_WORK_MAX)

  constructor(ports: LogPorts, parts: EffectParts, host: EffectHost) {
    this.#ports = ports
    this.#host = host
    this.#log = parts.log
    this.#directory = parts.directory
    this.#nodeId = parts.nodeId
    this.#transport = parts.transport
    this.#feed = parts.feed
    this.#snapshots = parts.snapshots
    this.#recoveryPoint = parts.recoveryPoint
    this.#receiver = new SnapshotReceiver(ports.files, parts.directory)
  }

  /** Waits for what is under way. */
  async close(): Promise<void> {
    await this.#diskWork.idle()
    await this.#receiver.close()
  }

  carryOut(effect: RaftEffect): void {
    switch (effect.kind) {
      case 'send': {
        const { to, message } = effect
        if (message.kind === 'VoteResponse' && !message.isGranted) {
          const { isPreVote, epoch, leaderId } = message
          this.#ports.logger.debug('Refused a vote', { to, isPreVote, epoch, leaderId })
        }
        this.#send(to, message)
        return
      }
      case 'sendRecords': {
        this.#later('records could not be read for a follower', () => this.#sendRecords(effect))
        return
      }
      case 'sendSnapshotChunk': {
        this.#later('a snapshot could not be read for a follower', () => this.#sendSnapshotChunk(effect))
        return
      }
      case 'appendLeaderChange': {
        this.#appendControl(
          effect.epoch,
          leaderChangeBatch(this.#nodeId, effect.voters, effect.granting, this.#ports.clock.wallTimeMs()),
        )
        return
      }
      case 'appendVoters': {
        this.#appendControl(effect.epoch, votersBatch(effect.voters, this.#ports.clock.wallTimeMs()))
        return
      }
      case 'appendRecords': {
        this.#appendRecords(effect.records)
        return
      }
      case 'truncate': {
        this.#later('its log could not be cut', async () => {
          const { logEndOffset } = this.#log
          const fields = { nodeId: this.#nodeId, from: logEndOffset, to: effect.offset }
          this.#ports.logger.info('Cutting the metadata log: it has left the leader’s', fields)
          await this.#log.truncateTo(effect.offset)
          this.#host.step({ kind: 'truncated' })
        })
        return
      }
      case 'writeSnapshotChunk': {
        this.#later('a snapshot could not be received', () => this.#writeChunk(effect))
        return
      }
      case 'installSnapshot': {
        this.#later('a snapshot could not be installed', () => this.#install(effect))
        return
      }
      case 'commit':
        this.#recoveryPoint.advance(effect.highWatermark)
        {
          this.#feed.commit(effect.highWatermark)
          return
        }
      case 'role': {
        this.#host.changedRole(effect)
        return
      }
      default:
        assertNever(effect)
    }
  }

  #send(toId: number, message: RaftMessage, pieces: readonly Uint8Array[] | null = null): void {
    this.#transport?.send(toId, encodeRaftMessage(message, pieces))
  }

  async #sendRecords(effect: Extract<RaftEffect, { kind: 'sendRecords' }>): Promise<void> {
    const { to, message, startOffset, endOffset, maxBytes } = effect
    // The log's start may have moved past it: the follower asks again, and is told of the snapshot.
    if (startOffset < this.#log.logStartOffset) return
    let slice
    try {
      slice = await this.#log.read(startOffset, endOffset, maxBytes, true)
    } catch (error) {
      // While the disk was read its start moved, by a snapshot, or another leader had this log cut: as above.
      if (error instanceof LogError && error.code === 'LOG_OFFSET_OUT_OF_RANGE') return
      throw error
    }
    // Read again: another leader may have had this log cut meanwhile.
    if (this.#host.leads(message.epoch) && !this.#host.isStopped()) this.#send(to, message, slice.chunks)
  }

  async #sendSnapshotChunk(effect: Extract<RaftEffect, { kind: 'sendSnapshotChunk' }>): Promise<void> {
    const { to, message, maxBytes } = effect
    const { snapshotEndOffset: endOffset, snapshotEpoch: epoch, position } = message
    const { files } = this.#ports
    const found = await readSnapshotChunk(files, this.#directory, { endOffset, epoch }, position, maxBytes)
    if (this.#host.isStopped()) return
    this.#send(
      to,
      found === null ? { ...message, errorCode: RAFT_ERRORS.SNAPSHOT_NOT_FOUND } : { ...message, ...found },
    )
  }

  /** A record of the leader's own. If the log takes none, another node has to lead. */
  #appendControl(epoch: number, batch: Uint8Array): void {
    const result = this.#log.appendAsLeader(batch, readBatchHeader(batch), epoch)
    if (result.kind !== 'appended') {
      this.#host.step({ kind: 'resign' })
      return
    }
    const voters = readVotersRecords([batch])
    this.#host.step({ kind: 'appended', voters })
  }

  #appendRecords(records: Uint8Array): void {
    let voters
    try {
      voters = readVotersRecords([records])
      this.#log.appendAsFollower(records)
    } catch (error) {
      const isRefused =
        !(error instanceof LogError) || error.code === 'LOG_BAD_BATCH' || error.code === 'LOG_BUSY'
      this.#ports.logger.warn('Metadata records were not appended', { error: error as Error })
      if (!isRefused) {
        this.#host.failed('its log failed', error)
        return
      }
      this.#host.step({ kind: 'appendRefused' })
      return
    }
    this.#host.step({ kind: 'appended', voters })
  }

  async #writeChunk(effect: Extract<RaftEffect, { kind: 'writeSnapshotChunk' }>): Promise<void> {
    try {
      await this.#receiver.write(effect.id, effect.position, effect.chunk)
    } catch (error) {
      if (!isLackOfRoom(error)) throw error
      await this.#receiver.close()
      this.#host.step({ kind: 'snapshotRefused' })
      return
    }
    this.#host.step({ kind: 'chunkWritten' })
  }

  async #install({ id }: Extract<RaftEffect, { kind: 'installSnapshot' }>): Promise<void> {
    await this.#snapshots.idle()
    await this.#feed.replaceLog(async () => {
      const snapshot = await this.#receiver.install(id, this.#log)
      await this.#snapshots.refresh()
      this.#snapshots.restartCount()
      if (snapshot === null) this.#host.step({ kind: 'snapshotRefused' })
      else {
        const fields = { nodeId: this.#nodeId, endOffset: id.endOffset, epoch: id.epoch }
        this.#ports.logger.info('Metadata snapshot of the leader is in place of the log', fields)
        this.#host.step({ kind: 'snapshotInstalled', id, voters: snapshot.voters })
      }
      return snapshot
    })
  }

  /** Work on files, one piece at a time. */
  #later(problem: string, work: () => Promise<void>): void {
    const run = async (): Promise<void> => {
      if (!this.#host.isStopped()) await work()
    }
    this.#diskWork.run(run).catch((error: unknown) => this.#host.failed(problem, error))
  }
}
