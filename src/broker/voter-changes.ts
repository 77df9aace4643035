/**
 * AddRaftVoter and RemoveRaftVoter (KIP-853) at the active controller: who votes in the metadata quorum changes by one at a time,
 * and never so that what is left could not agree on anything.
 *
 *   add      it fetches the metadata log and has all of it ──► voter
 *   remove   the voters that were heard of lately are a majority without it ──► no voter; one that leads steps down when that
 *            is committed
 *
 * The new set is in force once it is in the log, committed or not (Raft dissertation section 4.1): a change that could not
 * be committed by the new set would end the metadata quorum, and no command could take it back. So it is refused.
 */
import { ZERO_UUID } from '../bytes/uuid.ts'
import type { Clock } from '../env/index.ts'
import type { RequestOf, ResponseOf } from '../protocol/apis.ts'
import { errorCode } from '../protocol/errors.ts'
import type { ErrorName } from '../protocol/errors.ts'
import type { QuorumDescription } from '../raft/raft-options.ts'
import type { Voter } from '../raft/voter-set.ts'
import { VOTERS_MAX, VoterSet } from '../raft/voter-set.ts'

/** What of the quorum a change needs: `RaftQuorum`. */
export interface ChangingQuorum {
  readonly nodeId: number
  describe(): QuorumDescription
  /** @returns Once it is committed; or why nothing was changed. */
  changeVoters(voters: readonly Voter[]): Promise<string | null>
}

export interface VoterChangeParts {
  readonly clock: Clock
  readonly controller: { readonly isActive: boolean }
  readonly quorum: ChangingQuorum
  readonly clusterId: string
}

type Answer = ResponseOf<'AddRaftVoter'>

/** A node that was not heard of for so long, in ms, does not count: it asks at least every half second. */
const HEARD_MS_MAX = 3000
/** How often one that is to be added is looked at until it has caught up, in ms, and for how long at most. */
const LOOK_MS = 50
const CATCH_UP_MS_MAX = 30_000

export async function addVoter(parts: VoterChangeParts, request: RequestOf<'AddRaftVoter'>): Promise<Answer> {
  const { clock, quorum } = parts
  const { voterId: id, voterDirectoryId: directoryId } = request
  const deadlineMs = clock.monotonicMs() + Math.min(Math.max(0, request.timeoutMs), CATCH_UP_MS_MAX)
  for (;;) {
    const refusal = findRefusal(parts, request) ?? findProblemOfAdding(quorum.describe(), id, directoryId)
    if (refusal !== null) return refusal
    if (hasCaughtUp(quorum.describe(), id, directoryId, clock.monotonicMs())) break
    if (clock.monotonicMs() >= deadlineMs)
      return answer(
        'REQUEST_TIMED_OUT',
        `Node ${id} with data directory ${directoryId} does not follow the metadata log, or is behind: it must run, and be part of this cluster`,
      )
    await new Promise<void>((resolve) => clock.after(LOOK_MS, resolve))
  }
  return change(quorum, [...quorum.describe().voters, { id, directoryId }])
}

export async function removeVoter(
  parts: VoterChangeParts,
  request: RequestOf<'RemoveRaftVoter'>,
): Promise<Answer> {
  const { clock, quorum } = parts
  const { voterId: id, voterDirectoryId: directoryId } = request
  const refusal = findRefusal(parts, request)
  if (refusal !== null) return refusal
  const described = quorum.describe()
  const voter = described.voters.find((each) => each.id === id)
  if (voter === undefined) return answer('VOTER_NOT_FOUND', `Node ${id} has no vote`)
  if (directoryId !== ZERO_UUID && directoryId !== voter.directoryId)
    return answer('VOTER_NOT_FOUND', `Node ${id} votes with data directory ${voter.directoryId}`)
  const rest = new VoterSet(described.voters.filter((each) => each.id !== id))
  if (rest.voters.length === 0) return answer('INVALID_REQUEST', `Node ${id} is the only one that votes`)
  const heard = rest.voters.filter((each) => isHeard(described, each, quorum.nodeId, clock.monotonicMs()))
  if (heard.length < rest.majority) {
    const silent = rest.voters.filter((each) => !heard.includes(each)).map((each) => each.id)
    const problem = `of the voters ${rest.toString()} that would be left ${rest.majority} must run, and ${silent.join(', ')} did not show up lately`
    return answer('INVALID_REQUEST', `Cannot take the vote of node ${id}: ${problem}`)
  }
  return change(quorum, rest.voters)
}

function findRefusal(
  { controller, clusterId }: VoterChangeParts,
  request: { readonly clusterId: string | null },
): Answer | null {
  if (!controller.isActive)
    return answer('NOT_CONTROLLER', 'The active controller is on another node, or about to be elected')
  if (request.clusterId !== null && request.clusterId !== clusterId)
    return answer('INCONSISTENT_CLUSTER_ID', `This is cluster ${clusterId}, not ${request.clusterId}`)
  return null
}

function findProblemOfAdding({ voters }: QuorumDescription, id: number, directoryId: string): Answer | null {
  if (id < 0 || directoryId === ZERO_UUID)
    return answer('INVALID_REQUEST', 'A voter is a node and its data directory: both must be named')
  const known = voters.find((voter) => voter.id === id)
  if (known?.directoryId === directoryId) return answer('DUPLICATE_VOTER', `Node ${id} votes already`)
  if (known !== undefined)
    return answer(
      'DUPLICATE_VOTER',
      `Node ${id} votes with data directory ${known.directoryId}: take that vote away first if the directory is lost`,
    )
  if (voters.length >= VOTERS_MAX)
    return answer('INVALID_REQUEST', `There are ${voters.length} voters, more are not allowed`)
  return null
}

function hasCaughtUp(
  { replicas }: QuorumDescription,
  id: number,
  directoryId: string,
  nowMs: number,
): boolean {
  return replicas.some(
    (replica) =>
      replica.id === id &&
      replica.directoryId === directoryId &&
      nowMs - replica.lastCaughtUpMs <= HEARD_MS_MAX,
  )
}

function isHeard({ replicas }: QuorumDescription, voter: Voter, ownId: number, nowMs: number): boolean {
  if (voter.id === ownId) return true
  return replicas.some(
    ({ id, directoryId, lastFetchMs }) =>
      id === voter.id &&
      (voter.directoryId === ZERO_UUID || directoryId === voter.directoryId) &&
      nowMs - lastFetchMs <= HEARD_MS_MAX,
  )
}

async function change(quorum: ChangingQuorum, voters: readonly Voter[]): Promise<Answer> {
  let refusal: string | null
  try {
    refusal = await quorum.changeVoters(voters)
  } catch (error) {
    return answer(
      'REQUEST_TIMED_OUT',
      `The change is not known to be committed, it may be yet: ${String(error)}`,
    )
  }
  switch (refusal) {
    case null:
    case 'no-change':
      return answer('NONE', null)
    case 'not-leader':
      return answer('NOT_CONTROLLER', 'The active controller is on another node, or about to be elected')
    default:
      // An earlier change is not committed yet, or the leader is new: a matter of milliseconds.
      return answer('REQUEST_TIMED_OUT', `Another change of voters is under way (${refusal}): try again`)
  }
}

function answer(error: ErrorName, errorMessage: string | null): Answer {
  return { throttleTimeMs: 0, errorCode: errorCode(error), errorMessage }
}
