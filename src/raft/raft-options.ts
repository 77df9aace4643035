/** What the metadata quorum is opened with, and what it tells of itself. */
import type { FileError, Random } from '../env/index.ts'
import type { LogPorts } from '../log/log-config.ts'
import type { RaftSettings } from './core-state.ts'
import type { RaftTransport } from './raft-transport.ts'
import type { SnapshotLimits } from './snapshot-taker.ts'
import type { Voter } from './voter-set.ts'

export type RaftPorts = LogPorts & { readonly random: Random }

export interface RaftQuorumOptions extends SnapshotLimits {
  /** The data directory, locked by the caller. */
  readonly directory: string
  readonly nodeId: number
  /** Id of that directory (KIP-853); default: not known, which is enough for a quorum of one. */
  readonly directoryId?: string
  /** Who votes in a new cluster; later the log says it. Default: this node alone. */
  readonly voters?: readonly Voter[]
  /** Default: nobody can be reached. */
  readonly transport?: RaftTransport
  readonly settings?: Partial<RaftSettings>
  /** Called once if what stops this node's part was a failed write or sync: the whole directory is in doubt (D4). */
  readonly onDeviceFailed?: (cause: FileError) => void
  /** Segment size of the metadata log in bytes. */
  readonly segmentBytes?: number
}

/** For brokers on one site: a leader that died is replaced in two to three seconds, one that leaves at once. */
export const RAFT_SETTINGS: RaftSettings = {
  electionTimeoutMs: 300,
  fetchTimeoutMs: 2000,
  checkQuorumMs: 3000,
  fetchWaitMs: 500,
  retryMs: 100,
  fetchBytesMax: 1024 * 1024,
}

/** What `DescribeQuorum` tells (KIP-595, KIP-836). Times in monotonic ms. */
export interface QuorumDescription {
  readonly leaderId: number | null
  readonly leaderEpoch: number
  readonly highWatermark: number
  /** End of what is durable on this node. */
  readonly durableEndOffset: number
  readonly voters: readonly Voter[]
  /** Who voted for the last that is committed: others than `voters` while a change of them is not. */
  readonly committedVoters: readonly Voter[]
  /** The voters are those of the settings: no record says yet who they are. */
  readonly isFounding: boolean
  /** Who leads as another node says, found or not. */
  readonly namedLeaderId: number | null
  /** Nodes that go by other voters than this one while `isFounding`, with ids of theirs. */
  readonly strangers: ReadonlyMap<number, readonly number[]>
  /** Who fetches from this leader, voters and observers; empty elsewhere. */
  readonly replicas: readonly {
    readonly id: number
    readonly directoryId: string
    readonly logEndOffset: number
    readonly lastFetchMs: number
    readonly lastCaughtUpMs: number
  }[]
}
