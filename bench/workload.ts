/**
 * What a benchmark is made of. A workload is one file of `bench/workloads/`, listed in `bench/workloads.ts`; it opens
 * what it needs (brokers, files, load generators in processes of their own) and gives cases, which the runner repeats
 * in turn, so that a machine that changes its mood changes it for all of them.
 *
 * Work is given as an amount, never as a time: every repetition of a case does the same work and proves it by a hash.
 */
import type { Histogram } from './histogram.ts'

/** What an acknowledgement of a topic stands on. */
export type Durability = 'disk' | 'os' | 'memory'

export interface Workload {
  readonly name: string
  /** One line for the help text. */
  readonly summary: string
  /** Opens all that the cases need; what has to be closed again goes to `context.onClose`. */
  open(context: WorkloadContext): Promise<readonly Case[]>
}

export interface WorkloadContext {
  /** Small sizes: all cases of the workload together once in less than 5 s, to show that they work. */
  readonly isToy: boolean
  /** Of the topics that are measured. */
  readonly durability: Durability
  /** Where profiles of the broker and of load generators go; null: none are recorded. */
  readonly profileDirectory: string | null
  /** An empty directory on the volume that is measured; removed afterwards. */
  readonly directory: string
  /** Runs `task` after the last repetition, last one first, also when the run failed. */
  onClose(task: () => void | Promise<void>): void
}

export interface Case {
  /** Unique within the workload. */
  readonly name: string
  readonly conditions: Conditions
  /** Does the work once. Called again for every repetition. */
  run(): Promise<Measurement>
}

/** What two figures must have in common to be compared. Null: has no meaning for this case. */
export interface Conditions {
  /** What an acknowledgement, or the end of the measurement, stands on. */
  readonly durability: Durability | null
  /** `majority`: of the replicas, which is less than all that are in sync. */
  readonly acks: 0 | 1 | 'majority' | 'all' | null
  /** Bytes of one record, message or write. */
  readonly recordBytes: number | null
  /** Records, requests or messages that may be under way. */
  readonly inFlightMax: number | null
  /** Bytes that may be under way. */
  readonly inFlightBytesMax: number | null
  readonly replicas: number | null
  readonly partitions: number | null
  readonly transport: 'TCP' | 'WebSocket' | 'in-process' | null
  /** Open loop: operations that begin per second, whatever became of those before. */
  readonly ratePerSecond: number | null
}

export const NO_CONDITIONS: Conditions = {
  durability: null,
  acks: null,
  recordBytes: null,
  inFlightMax: null,
  inFlightBytesMax: null,
  replicas: null,
  partitions: null,
  transport: null,
  ratePerSecond: null,
}

export interface Measurement {
  readonly metrics: readonly Metric[]
  /** How long each operation took, where that is a question. */
  readonly latency?: Histogram
  /** Text that names the work done: counts, sizes, checksums of what arrived. Equal for every repetition. */
  readonly work: string
}

export interface Metric {
  readonly name: string
  readonly unit: string
  readonly value: number
  readonly better: 'higher' | 'lower'
}
