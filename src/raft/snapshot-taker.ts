/**
 * Takes snapshots when enough of the log has gone by, and lets go of what they make useless.
 *
 * Invariant: the log is cut only below the older of the two newest snapshots. If one rots, the other and the log make the
 * same state; when neither does, the node refuses to start: damage is never taken for emptiness (ST-5, KAFKA-14240).
 */
import type { LogPorts } from '../log/log-config.ts'
import { isLackOfRoom } from '../log/atomic-file.ts'
import type { PartitionLog } from '../log/partition-log.ts'
import type { QuorumListener, QuorumSnapshot } from './metadata-quorum.ts'
import { listSnapshots, snapshotFileName, writeSnapshot } from './snapshot-file.ts'
import type { SnapshotId } from './snapshot-file.ts'
import type { VoterHistory } from './voter-set.ts'

/** A replay of this many records takes about 50 ms. */
const SNAPSHOT_RECORD_COUNT = 20_000
const SNAPSHOT_BYTES = 8 * 1024 * 1024

export interface SnapshotLimits {
  /** Records after which a snapshot is taken. */
  readonly snapshotRecordCount?: number
  /** Bytes of log after which a snapshot is taken. */
  readonly snapshotBytes?: number
}

export class SnapshotTaker {
  readonly #ports: LogPorts
  readonly #log: PartitionLog
  readonly #directory: string
  readonly #voters: VoterHistory
  readonly #recordCountMax: number
  readonly #bytesMax: number
  readonly #failed: (problem: string, cause: unknown) => void
  #ids: readonly SnapshotId[]
  #recordCount = 0
  #bytes = 0
  #work: Promise<void> | null = null

  constructor(
    ports: LogPorts,
    options: {
      readonly log: PartitionLog
      readonly directory: string
      readonly voters: VoterHistory
      readonly snapshots: readonly SnapshotId[]
      readonly limits: SnapshotLimits
      readonly failed: (problem: string, cause: unknown) => void
    },
  ) {
    this.#ports = ports
    this.#log = options.log
    this.#directory = options.directory
    this.#voters = options.voters
    this.#ids = options.snapshots
    this.#recordCountMax = options.limits.snapshotRecordCount ?? SNAPSHOT_RECORD_COUNT
    this.#bytesMax = options.limits.snapshotBytes ?? SNAPSHOT_BYTES
    this.#failed = options.failed
  }

  /** The snapshots there are, newest first. */
  get ids(): readonly SnapshotId[] {
    return this.#ids
  }

  /** More has been committed and folded; takes a snapshot if one is due and none is under way. */
  advance(listener: QuorumListener, count: number, bytes: number, timestampMs: number): void {
    this.#recordCount += count
    this.#bytes += bytes
    if (this.#recordCount < this.#recordCountMax && this.#bytes < this.#bytesMax) return
    if (this.#work !== null) return
    const snapshot = listener.takeSnapshot()
    if (snapshot === null) return
    this.restartCount()
    this.#work = this.#take(snapshot, timestampMs).finally(() => {
      this.#work = null
    })
  }

  /** One came from the leader, or was just taken. */
  restartCount(): void {
    this.#recordCount = 0
    this.#bytes = 0
  }

  /** Looks at the directory again. */
  async refresh(): Promise<void> {
    this.#ids = await listSnapshots(this.#ports.files, this.#directory)
  }

  /** Resolves when none is being taken. */
  async idle(): Promise<void> {
    await this.#work
  }

  /** Never rejects: without a new snapshot the log is longer, no more. A disk that fails stops the quorum. */
  async #take(snapshot: QuorumSnapshot, timestampMs: number): Promise<void> {
    const { files, logger } = this.#ports
    const { endOffset } = snapshot
    const voters = this.#voters.isFromLog(endOffset) ? this.#voters.at(endOffset) : null
    try {
      await writeSnapshot(files, this.#directory, snapshot, timestampMs, voters)
      await this.#dropOld()
      logger.debug('Metadata snapshot is written', { directory: this.#directory, endOffset })
    } catch (error) {
      if (isLackOfRoom(error)) {
        logger.warn('Metadata snapshot was not written, the next one is tried later', { error })
      } else this.#failed('a snapshot could not be written', error)
    }
  }

  /** Keeps the two newest snapshots, and the log from the older one on. */
  async #dropOld(): Promise<void> {
    await this.refresh()
    const [newest, older, ...useless] = this.#ids
    if (newest === undefined || older === undefined) return
    // First the log, then the snapshots below its new start: none of the log's own start is ever uncovered.
    await this.#log.deleteRecordsBefore(older.endOffset)
    this.#voters.startAt(older.endOffset)
    this.#ids = [newest, older]
    for (const id of useless) await this.#ports.files.remove(`${this.#directory}/${snapshotFileName(id)}`)
  }
}
