/**
 * What becomes of one partition when its in-sync set, its replicas or the state of brokers change: who leads, who may
 * lead later, whether a move is done. Pure; every decision that touches a partition ends here.
 *
 *   leader from the ISR ─► from the eligible leader replicas (ELR) ─► unclean, where allowed ─► the last known leader ─► none
 *
 * Invariants (KIP-966; faults.md R2, R15, RP-11, RP-12):
 * - The high watermark moves only while the ISR has `min.insync.replicas` members. So whoever leaves an ISR that is too
 *   small afterwards has everything committed, and stays eligible until the ISR is large enough again.
 * - Who lost what it had in memory (an unclean stop) is in neither set.
 * - A leader from outside both sets is flagged as recovering, and both sets forget all others: what those have in common
 *   with the new leader nobody knows.
 * - Every change of leader raises the leader epoch, and so does every removal of a replica: a replica that comes back into
 *   the set must be fetched anew in the new epoch before it counts (RP-10).
 */
import type { PartitionImage } from '../metadata/cluster-image.ts'
import { NO_LEADER } from '../metadata/partition-fold.ts'
import type { MetadataRecordInput } from '../metadata/records.ts'

/** The fields of a partition's change record that differ. */
export type PartitionChange = Partial<
  Omit<Extract<MetadataRecordInput, { kind: 'partitionChange' }>, 'kind' | 'topicId' | 'partitionId'>
>

/** What is known about brokers and the topic when a partition is decided on. */
export interface ElectionRules {
  /** Whether the broker may be given leaderships: registered, not fenced, not about to stop. */
  readonly mayLead: (brokerId: number) => boolean
  readonly minInsyncReplicas: number
  /** `unclean.leader.election.enable` of the topic. */
  readonly allowsUnclean: boolean
}

/** What is asked for; what is left out stays as it is. */
export interface PartitionTarget {
  readonly isr?: readonly number[]
  readonly replicas?: readonly number[]
  readonly addingReplicas?: readonly number[]
  readonly removingReplicas?: readonly number[]
  /** The leader has made up its mind about its log after an unclean election. */
  readonly hasRecovered?: boolean
  /** Lost what it had in memory: not eligible any more. */
  readonly uncleanId?: number
  /** `preferred`: the first replica leads if it is in sync. `unclean`: anybody leads rather than nobody. */
  readonly election?: 'preferred' | 'unclean'
}

/** @returns What changes, or null if nothing does. */
export function changeOf(
  before: PartitionImage,
  target: PartitionTarget,
  rules: ElectionRules,
): PartitionChange | null {
  const moved = completed(
    {
      replicas: target.replicas ?? before.replicas,
      addingReplicas: target.addingReplicas ?? before.addingReplicas,
      removingReplicas: target.removingReplicas ?? before.removingReplicas,
      isr: target.isr ?? before.isr,
    },
    before.leader,
    rules,
  )
  const { replicas } = moved
  const elected = elect(before, moved, target, rules)
  const { leader, isr, isUnclean } = elected
  const elr = isUnclean ? [] : eligibleAfter(before, moved.replicas, isr, target, rules)
  const lastKnown =
    leader !== null ? [] : lastKnownAfter(before, target).filter((id) => replicas.includes(id))
  const isRecovering = isUnclean || (before.isRecovering && target.hasRecovered !== true)
  const hasLostReplica = before.replicas.some((id) => !replicas.includes(id))
  const raisesEpoch = leader !== before.leader || isUnclean || (hasLostReplica && leader !== null)
  const change: PartitionChange = {
    ...(raisesEpoch ? { leader: leader ?? NO_LEADER } : {}),
    ...(isSame(isr, before.isr) ? {} : { isr }),
    ...(isSame(replicas, before.replicas) ? {} : { replicas }),
    ...(isSame(moved.addingReplicas, before.addingReplicas) ? {} : { addingReplicas: moved.addingReplicas }),
    ...(isSame(moved.removingReplicas, before.removingReplicas)
      ? {}
      : { removingReplicas: moved.removingReplicas }),
    ...(isRecovering === before.isRecovering ? {} : { leaderRecoveryState: isRecovering ? 1 : 0 }),
    ...(isSame(elr, before.eligibleLeaderReplicas) ? {} : { eligibleLeaderReplicas: elr }),
    ...(isSame(lastKnown, before.lastKnownEligibleLeaders) ? {} : { lastKnownElr: lastKnown }),
  }
  return Object.keys(change).length === 0 ? null : change
}

interface Moved {
  readonly replicas: readonly number[]
  readonly addingReplicas: readonly number[]
  readonly removingReplicas: readonly number[]
  readonly isr: readonly number[]
}

/** A move is done when all that come are in sync, and one that stays can lead. Then those that go are gone. */
function completed(moved: Moved, leader: number | null, rules: ElectionRules): Moved {
  const { addingReplicas, removingReplicas } = moved
  if (addingReplicas.length === 0 && removingReplicas.length === 0) return moved
  const isr = moved.isr.filter((id) => !removingReplicas.includes(id))
  const isDone = addingReplicas.every((id) => isr.includes(id))
  if (!isDone || !isr.some((id) => id === leader || rules.mayLead(id))) return moved
  const replicas = moved.replicas.filter((id) => !removingReplicas.includes(id))
  return { replicas, isr, addingReplicas: [], removingReplicas: [] }
}

interface Elected {
  readonly leader: number | null
  readonly isr: readonly number[]
  readonly isUnclean: boolean
}

function elect(before: PartitionImage, moved: Moved, target: PartitionTarget, rules: ElectionRules): Elected {
  const { replicas, isr } = moved
  const clean = (leader: number, within = isr): Elected => ({ leader, isr: within, isUnclean: false })
  const mayLeadFrom = (set: readonly number[]) => (id: number) => set.includes(id) && rules.mayLead(id)
  const current = before.leader !== null && isr.includes(before.leader) ? before.leader : null
  if (target.election === 'preferred' && mayLeadFrom(isr)(replicas[0]!)) return clean(replicas[0]!)
  if (current !== null && rules.mayLead(current)) return clean(current)
  const inSync = replicas.find(mayLeadFrom(isr))
  if (inSync !== undefined) return clean(inSync)
  // About to stop, but nobody else can lead: it goes on until it is gone.
  if (current !== null) return clean(current)
  const elr = eligibleAfter(before, replicas, isr, target, rules)
  const eligible = replicas.find(mayLeadFrom(elr))
  if (eligible !== undefined) return clean(eligible, [eligible])

  const lastKnown = replicas.find(mayLeadFrom(lastKnownAfter(before, target)))
  // Nobody is left who surely has everything: of all that come back the last leader has most.
  const isLastHope = isr.length === 0 && elr.length === 0
  const mayBeUnclean = rules.allowsUnclean || target.election === 'unclean'
  const chosen = mayBeUnclean
    ? (lastKnown ?? replicas.find(rules.mayLead))
    : isLastHope
      ? lastKnown
      : undefined
  if (chosen === undefined) return { leader: null, isr, isUnclean: false }
  return { leader: chosen, isr: [chosen], isUnclean: true }
}

/** The last leader; if a move took that away, the last one that was eligible. */
function lastKnownAfter(before: PartitionImage, { uncleanId }: PartitionTarget): readonly number[] {
  if (before.leader !== null) return [before.leader]
  const { lastKnownEligibleLeaders: known, eligibleLeaderReplicas: elr } = before
  return known.length === 0 && uncleanId !== undefined && elr.includes(uncleanId) ? [uncleanId] : known
}

function eligibleAfter(
  before: PartitionImage,
  replicas: readonly number[],
  isr: readonly number[],
  target: PartitionTarget,
  { minInsyncReplicas }: ElectionRules,
): readonly number[] {
  if (isr.length >= Math.min(minInsyncReplicas, replicas.length)) return []
  const candidates = new Set([...before.eligibleLeaderReplicas, ...before.isr])
  return [...candidates].filter((id) => replicas.includes(id) && !isr.includes(id) && id !== target.uncleanId)
}

/** The partition as `change` makes it, as far as an answer tells of it. */
export function stateAfter(
  before: PartitionImage,
  change: PartitionChange | null,
): Pick<PartitionImage, 'leader' | 'leaderEpoch' | 'isr' | 'isRecovering' | 'partitionEpoch'> {
  if (change === null) return before
  const { leader, isr, leaderRecoveryState } = change
  return {
    leader: leader === undefined ? before.leader : leader === NO_LEADER ? null : leader,
    leaderEpoch: before.leaderEpoch + (leader === undefined ? 0 : 1),
    isr: isr ?? before.isr,
    isRecovering: leaderRecoveryState === undefined ? before.isRecovering : leaderRecoveryState === 1,
    partitionEpoch: before.partitionEpoch + 1,
  }
}

function isSame(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((id, index) => id === b[index])
}
