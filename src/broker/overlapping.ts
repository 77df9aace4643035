/**
 * Which requests of one connection may be under way at the same time, with others of their kind: those that take effect in the
 * turn in which they start, so that their effects are in order, and that then wait for replicas. One round of replication and
 * one sync serve them all. What reads those effects starts when they were answered, as every request does in Kafka.
 *
 * A process that has many groups talks to one coordinator for all of them on one connection: without this each commit would
 * wait for the commits of all the others.
 */
import { apis } from '../protocol/apis.ts'
import type { ClientApiName } from '../protocol/apis.ts'
import type { OverlapKind } from '../rpc/server-channel.ts'

const WRITES_RECORDS = 1
const WRITES_GROUPS = 2

const KINDS = new Map<ClientApiName, OverlapKind>([
  ['Produce', WRITES_RECORDS],
  ['OffsetCommit', WRITES_GROUPS],
  ['Heartbeat', WRITES_GROUPS],
  ['ConsumerGroupHeartbeat', WRITES_GROUPS],
])
/** By API key, which is below 256. */
const KINDS_BY_KEY = new Map<number, OverlapKind>([...KINDS].map(([name, kind]) => [apis[name].key, kind]))

/** Of a request's frame, which begins with its API key as an int16. */
export function overlapOf(frame: Uint8Array): OverlapKind | null {
  return frame.length >= 2 && frame[0] === 0 ? (KINDS_BY_KEY.get(frame[1]!) ?? null) : null
}

/** Whether such requests overlap with others of their kind. */
export function overlaps(name: ClientApiName): boolean {
  return KINDS.has(name)
}
