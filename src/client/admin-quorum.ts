/** Administration of who votes in the metadata quorum (KIP-853). Control plane. */
import { ZERO_UUID } from '../bytes/uuid.ts'
import { describeQuorum } from './admin-cluster.ts'
import type { AdminRequests } from './admin-requests.ts'
import type { AdminOptions } from './admin-types.ts'
import { brokerError, ClientError } from './client-error.ts'
import { pause } from './backoff.ts'

/** A leader of the quorum that was elected this moment knows all who follow after so long, in ms: they ask twice a second. */
const FOLLOWERS_KNOWN_MS = 3000
/** Between two looks, in ms. */
const LOOK_MS = 100

/** The disk that a vote belongs to. */
export interface VoterOptions extends AdminOptions {
  /** Id of its data directory, 22 characters. Default: the one that the node has now. */
  readonly directoryId?: string
}

/** @throws {ClientError} `CLIENT_BAD_ARGUMENT` if no directory is named and the node does not follow the metadata log. */
export async function addVoter(
  requests: AdminRequests,
  nodeId: number,
  options: VoterOptions,
): Promise<void> {
  const attempted = `Cannot give node ${nodeId} a vote`
  const voterDirectoryId = options.directoryId ?? (await directoryOf(requests, nodeId, attempted, options))
  const answer = await requests.change('AddRaftVoter', attempted, options, (timeoutMs) => ({
    ...{ clusterId: null, timeoutMs, voterId: nodeId, voterDirectoryId, listeners: [] },
  }))
  if (answer.errorCode !== 0) throw brokerError(attempted, answer.errorCode, answer.errorMessage)
}

export async function removeVoter(
  requests: AdminRequests,
  nodeId: number,
  options: VoterOptions,
): Promise<void> {
  const attempted = `Cannot take the vote of node ${nodeId}`
  const voterDirectoryId = options.directoryId ?? ZERO_UUID
  const answer = await requests.change('RemoveRaftVoter', attempted, options, () => ({
    ...{ clusterId: null, voterId: nodeId, voterDirectoryId },
  }))
  if (answer.errorCode !== 0) throw brokerError(attempted, answer.errorCode, answer.errorMessage)
}

async function directoryOf(
  requests: AdminRequests,
  nodeId: number,
  attempted: string,
  options: AdminOptions,
): Promise<string> {
  const { clock } = requests.cluster.ports
  const deadlineMs = clock.monotonicMs() + Math.min(FOLLOWERS_KNOWN_MS, requests.timeoutMs(options))
  for (;;) {
    const { voters, observers } = await describeQuorum(requests, options)
    // A node whose disk was replaced is there twice; the one that asked last is the one that lives.
    const [found] = [...observers, ...voters]
      .filter((replica) => replica.nodeId === nodeId)
      .sort((a, b) => (b.lastFetchTimestamp ?? -1) - (a.lastFetchTimestamp ?? -1))
    const directoryId = found?.directoryId ?? null
    if (directoryId !== null) return directoryId
    if (clock.monotonicMs() >= deadlineMs) break
    await pause(clock, LOOK_MS, attempted, options.signal)
  }
  const problem = 'it does not follow the metadata log of this cluster; start it first'
  throw new ClientError('CLIENT_BAD_ARGUMENT', `${attempted}: ${problem}`)
}
