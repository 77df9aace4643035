/**
 * Requests that the active controller decides, whichever broker they came to: CreateTopics, DeleteTopics, CreatePartitions,
 * AlterConfigs, IncrementalAlterConfigs (KIP-339), ElectLeaders (KIP-460), AlterPartitionReassignments and
 * ListPartitionReassignments (KIP-455), DescribeQuorum (KIP-595), AddRaftVoter and RemoveRaftVoter (KIP-853),
 * UnregisterBroker, DrainBroker.
 *
 * The answer to a change comes when it is committed and in effect on every live broker: who asks next finds it. A log that
 * the disk has no room for is no reason to refuse a topic: it is committed by then, its name taken and its id given, and
 * to undo that would need the room that is missing. Its partition has no leader in Metadata (LEADER_NOT_AVAILABLE) until
 * its log could be opened, which is tried every few seconds (docs/faults.md ST-8).
 */
import type { ClientApiName, ResponseInputOf } from '../../protocol/apis.ts'
import type { ControllerApi } from '../controller-gateway.ts'
import type { Handler } from '../services.ts'

/** Time for a request that names none, in ms. */
const TIMEOUT_MS = 30_000
/** Longest that a request may make the broker wait for a controller, in ms. */
const TIMEOUT_MS_MAX = 300_000
/** Shortest: an election of the controller takes longer than some clients' impatience. */
const TIMEOUT_MS_MIN = 1000

/** The handler that passes a request on. */
export function askController<A extends ControllerApi & ClientApiName>(api: A): Handler<A> {
  // What was decoded can be encoded: both forms hold the same fields.
  return ({ controller }, request) =>
    controller.call(api, request, timeoutOf(request)) as unknown as Promise<ResponseInputOf<A>>
}

function timeoutOf(request: object): number {
  const named = 'timeoutMs' in request ? request.timeoutMs : null
  const timeoutMs = typeof named === 'number' ? named : TIMEOUT_MS
  return Math.max(TIMEOUT_MS_MIN, Math.min(timeoutMs, TIMEOUT_MS_MAX))
}
