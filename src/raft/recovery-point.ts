/**
 * How far the metadata log was known to be on stable storage, in `recovery-point-offset-checkpoint` beside it, in
 * Kafka's format. A start takes nothing away below it: damage there is damage, not a torn end (faults.md D3, M11).
 * The file lags behind the log by a second or less; without it (or if it is damaged) the point is 0.
 */
import type { Cancel, Clock, FileSystem, Logger } from '../env/index.ts'
import { isLackOfRoom, readWhole, writeAtomically } from '../log/atomic-file.ts'
import { formatOffsetCheckpoint, parseOffsetCheckpoint, partitionKey } from '../log/checkpoint-file.ts'
import { RECOVERY_POINT_CHECKPOINT } from '../log/file-names.ts'

/** Kafka's name of the metadata log's topic. */
export const METADATA_TOPIC = '__cluster_metadata'

const KEY = partitionKey(METADATA_TOPIC, 0)

/** How long a new point waits to be written, in ms: many commits share one write. */
const SAVE_DELAY_MS = 1000

export async function readRecoveryPoint(files: FileSystem, directory: string): Promise<number> {
  const bytes = await readWhole(files, `${directory}/${RECOVERY_POINT_CHECKPOINT}`)
  return (bytes === null ? null : parseOffsetCheckpoint(bytes))?.get(KEY) ?? 0
}

/**
 * Writes the point now and then. One that finds no room costs protection, not data, and is written later. Any other failure says
 * that nobody knows what the disk does: it is told, and ends the data directory (docs/faults.md D4).
 */
export class RecoveryPoint {
  readonly #ports: { readonly clock: Clock; readonly files: FileSystem; readonly logger: Logger }
  readonly #directory: string
  readonly #failed: (error: unknown) => void
  #offset = 0
  #savedOffset = 0
  #isStopped = false
  #cancel: Cancel | null = null
  #saving: Promise<void> = Promise.resolve()

  constructor(
    ports: { readonly clock: Clock; readonly files: FileSystem; readonly logger: Logger },
    directory: string,
    failed: (error: unknown) => void,
  ) {
    this.#ports = ports
    this.#directory = directory
    this.#failed = failed
  }

  /** All below `offset` is on stable storage. */
  advance(offset: number): void {
    this.#offset = offset
    this.#cancel ??= this.#ports.clock.after(SAVE_DELAY_MS, () => {
      this.#cancel = null
      this.#saving = this.#saving.then(() => this.#save())
    })
  }

  /** Writes nothing any more: something else has failed. */
  stop(): void {
    this.#isStopped = true
    this.#cancel?.()
  }

  /** Writes what is known and stops. */
  async close(): Promise<void> {
    this.#cancel?.()
    await this.#saving
    await this.#save()
    this.#isStopped = true
  }

  async #save(): Promise<void> {
    const offset = this.#offset
    if (offset === this.#savedOffset || this.#isStopped) return
    try {
      const content = formatOffsetCheckpoint([{ topic: METADATA_TOPIC, partition: 0, offset }])
      await writeAtomically(this.#ports.files, this.#directory, RECOVERY_POINT_CHECKPOINT, content)
      this.#savedOffset = offset
    } catch (error) {
      if (isLackOfRoom(error))
        this.#ports.logger.warn('Metadata recovery point was not written: no room', { offset, error })
      else this.#failed(error)
    }
  }
}
