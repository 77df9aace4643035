/**
 * What a server-side assignor (KIP-848) is: a pure function from subscriptions, topics and the last target assignment to the
 * next one. It decides who shall have a partition; when its present owner has let go of it is the reconciler's business.
 *
 * Invariants of every assignor (faults.md G2):
 * - Each partition of each topic that anybody subscribes to is given once, to a member that subscribes to the topic.
 * - The result depends on the input alone, not on the order of members in it.
 */
import { assignByRange } from './range.ts'
import { assignUniformly } from './uniform.ts'

/** Partitions by topic id: ascending, none twice, and no topic without any. */
export type Assignment = ReadonlyMap<string, readonly number[]>

export interface AssignorMember {
  readonly memberId: string
  readonly instanceId: string | null
  /** Ids of the topics it subscribes to that exist; none twice. */
  readonly topicIds: readonly string[]
  /** What it was to have until now; may name what is not there any more. */
  readonly current: Assignment
}

export interface AssignorInput {
  readonly members: readonly AssignorMember[]
  /** Number of partitions of each topic that anybody subscribes to, by id. */
  readonly partitionCounts: ReadonlyMap<string, number>
}

/** The next target assignment; every member has an entry. */
export type Assignor = (input: AssignorInput) => Map<string, Assignment>

/** By the name that members and `group.consumer.assignors` know them by. */
export const assignors: ReadonlyMap<string, Assignor> = new Map([
  ['uniform', assignUniformly],
  ['range', assignByRange],
])

export const EMPTY_ASSIGNMENT: Assignment = new Map()
