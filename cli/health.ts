/**
 * What is wrong with a cluster, in words, with what to do about it. Pure: facts in, findings out.
 *
 *   unavailable   some partition takes no records with acks=all, or nobody leads it, or nothing can be decided
 *   degraded      everything works, with fewer copies or votes than there should be
 */
import type {
  BrokerDescription,
  ClusterDescription,
  PartitionDescription,
  QuorumDescription,
  Reassignment,
  TopicDescription,
} from '../src/index.ts'
import { counted } from './human.ts'

export interface HealthFacts {
  readonly cluster: ClusterDescription
  readonly topics: readonly TopicDescription[]
  /** By topic. */
  readonly minInsyncReplicas: ReadonlyMap<string, number>
  /** Null: no leader of the quorum answered. */
  readonly quorum: QuorumDescription | null
  readonly reassignments: readonly Reassignment[]
}

export type HealthStatus = 'healthy' | 'degraded' | 'unavailable'

/** Stable names, for scripts. */
export type FindingName =
  'no-controller' | 'no-leader' | 'below-min-isr' | 'under-replicated' | 'broker-down' | 'voter-silent'

export interface Finding {
  readonly status: Exclude<HealthStatus, 'healthy'>
  readonly name: FindingName
  readonly message: string
  readonly advice: string
  /** `topic-partition` of each that it is about. */
  readonly partitions: readonly string[]
}

export interface Health {
  readonly status: HealthStatus
  readonly brokerCount: number
  readonly liveBrokerCount: number
  readonly partitionCount: number
  readonly movingCount: number
  /** The worst first. */
  readonly findings: readonly Finding[]
}

/** A voter that the leader has not heard from for this long, in ms, is silent: several of its fetches have not come. */
const VOTER_SILENT_MS = 5000
/** Partitions that a message names. */
const NAMED_MAX = 4

interface Placed extends PartitionDescription {
  readonly name: string
  readonly topic: string
  readonly minInsyncReplicas: number
  /** Replicas that an ongoing move is still making: they are not missing yet. */
  readonly adding: readonly number[]
}

export function judge(facts: HealthFacts): Health {
  const { cluster, topics, quorum, reassignments } = facts
  const moving = new Map(reassignments.map((one) => [`${one.topic}-${one.partition}`, one.adding]))
  const partitions = topics.flatMap(({ name: topic, partitions: all }) =>
    all.map((one): Placed => {
      const name = `${topic}-${one.partition}`
      const minInsyncReplicas = facts.minInsyncReplicas.get(topic) ?? 1
      return { ...one, name, topic, minInsyncReplicas, adding: moving.get(name) ?? [] }
    }),
  )
  const down = cluster.brokers.filter(({ isFenced }) => isFenced)
  const findings = [
    ...(quorum === null ? [noController()] : []),
    ...noLeader(partitions),
    ...belowMinIsr(partitions),
    ...underReplicated(partitions),
    ...down.map((broker) => brokerDown(broker, partitions)),
    ...(quorum === null ? [] : silentVoters(quorum)),
  ]
  const status = findings.some((one) => one.status === 'unavailable')
    ? 'unavailable'
    : findings.length > 0
      ? 'degraded'
      : 'healthy'
  return {
    status,
    brokerCount: cluster.brokers.length,
    liveBrokerCount: cluster.brokers.length - down.length,
    partitionCount: partitions.length,
    movingCount: reassignments.length,
    findings,
  }
}

function noController(): Finding {
  return {
    status: 'unavailable',
    name: 'no-controller',
    message: 'No controller is active: no leader can be replaced, and nothing created, moved or changed',
    advice: 'Start brokers until more than half of controller.quorum.voters run, and see their logs',
    partitions: [],
  }
}

function noLeader(partitions: readonly Placed[]): readonly Finding[] {
  const found = partitions.filter(({ leader }) => leader === null)
  if (found.length === 0) return []
  const saviours = idsOf(
    found.flatMap(({ isr, eligibleLeaderReplicas }) => [...isr, ...eligibleLeaderReplicas]),
  )
  const last = idsOf(found.flatMap(({ lastKnownEligibleLeaders }) => lastKnownEligibleLeaders))
  const [example] = found
  const advice =
    saviours.length > 0
      ? `Start ${brokers(saviours, 'or')}, which hold everything that was committed`
      : last.length > 0
        ? `Start ${brokers(last, 'or')}, which knew most; then, as the last resort, \`millrace topic elect ${example!.topic} --unclean\``
        : `As the last resort, \`millrace topic elect ${example!.topic} --unclean\` loses what the new leader lacks`
  return [
    {
      status: 'unavailable',
      name: 'no-leader',
      message: `${subject(found, 'has', 'have')} no leader: nobody can read or write ${found.length === 1 ? 'it' : 'them'}`,
      advice,
      partitions: found.map(({ name }) => name),
    },
  ]
}

function belowMinIsr(partitions: readonly Placed[]): readonly Finding[] {
  const found = partitions.filter(
    ({ leader, isr, minInsyncReplicas }) => leader !== null && isr.length < minInsyncReplicas,
  )
  if (found.length === 0) return []
  const missing = missingOf(found)
  return [
    {
      status: 'unavailable',
      name: 'below-min-isr',
      message: `${subject(found, 'has', 'have')} fewer in-sync replicas than min.insync.replicas: acks=all is refused`,
      advice:
        missing.length === 0
          ? 'Give the topic more replicas with `millrace topic reassign`, or lower min.insync.replicas'
          : `Start ${brokers(missing, 'and')}; replicas join again when they have caught up`,
      partitions: found.map(({ name }) => name),
    },
  ]
}

function underReplicated(partitions: readonly Placed[]): readonly Finding[] {
  const found = partitions.filter(
    (one) => one.leader !== null && one.isr.length >= one.minInsyncReplicas && missingOf([one]).length > 0,
  )
  if (found.length === 0) return []
  const missing = missingOf(found)
  const isDown = missing.every((id) => found.some(({ offlineReplicas }) => offlineReplicas.includes(id)))
  return [
    {
      status: 'degraded',
      name: 'under-replicated',
      message: `${subject(found, 'lacks', 'lack')} in-sync replicas on ${brokers(missing, 'and')}`,
      advice: isDown
        ? `Start ${brokers(missing, 'and')}; replicas join again when they have caught up`
        : `Wait for ${brokers(missing, 'and')} to catch up: see LAG in \`millrace topic describe ${found[0]!.topic}\``,
      partitions: found.map(({ name }) => name),
    },
  ]
}

function brokerDown({ id, host, port }: BrokerDescription, partitions: readonly Placed[]): Finding {
  const held = partitions.filter(({ replicas }) => replicas.includes(id))
  const holds =
    held.length === 0 ? 'it holds nothing' : `it holds replicas of ${counted(held.length, 'partition')}`
  return {
    status: 'degraded',
    name: 'broker-down',
    message: `Broker ${id} (${host}:${port}) is down: ${holds}`,
    advice: `Start it; if it is gone for good, \`millrace broker decommission ${id}\` makes its replicas anew on others`,
    partitions: held.map(({ name }) => name),
  }
}

function silentVoters({ voters, leaderId }: QuorumDescription): readonly Finding[] {
  const silent = silentVoterIds({ voters, leaderId })
  if (silent.length === 0) return []
  const mayFail = Math.floor((voters.length - 1) / 2) - silent.length
  const rest = mayFail > 0 ? `${mayFail} more may fail` : 'if one more fails, no leader can be replaced'
  return [
    {
      status: 'degraded',
      name: 'voter-silent',
      message: `${voters.length - silent.length} of ${voters.length} voters of the metadata quorum answer; ${rest}`,
      advice: `Start ${brokers(silent, 'and')}, or see why the network does not reach ${silent.length === 1 ? 'it' : 'them'}`,
      partitions: [],
    },
  ]
}

/** Voters that the leader has not heard from lately, by the clock of the leader. */
export function silentVoterIds({
  voters,
  leaderId,
}: Pick<QuorumDescription, 'voters' | 'leaderId'>): readonly number[] {
  const nowMs = voters.find(({ nodeId }) => nodeId === leaderId)?.lastFetchTimestamp ?? null
  if (nowMs === null) return []
  return voters
    .filter(({ lastFetchTimestamp }) => nowMs - (lastFetchTimestamp ?? -Infinity) > VOTER_SILENT_MS)
    .map(({ nodeId }) => nodeId)
}

/** Brokers that should hold an in-sync replica and do not. */
function missingOf(partitions: readonly Placed[]): readonly number[] {
  return idsOf(
    partitions.flatMap(({ replicas, isr, adding }) =>
      replicas.filter((id) => !isr.includes(id) && !adding.includes(id)),
    ),
  )
}

function idsOf(ids: readonly number[]): readonly number[] {
  return [...new Set(ids)].sort((a, b) => a - b)
}

/** `broker 2`, `brokers 2 and 3`. */
function brokers(ids: readonly number[], and: 'and' | 'or'): string {
  if (ids.length === 1) return `broker ${ids[0]!}`
  return `brokers ${ids.slice(0, -1).join(', ')} ${and} ${ids.at(-1)!}`
}

/** `events-0 has`, `3 partitions (events-0, events-1, events-2) have`. */
function subject(partitions: readonly Placed[], one: string, many: string): string {
  if (partitions.length === 1) return `${partitions[0]!.name} ${one}`
  const named = partitions.slice(0, NAMED_MAX).map(({ name }) => name)
  const rest = partitions.length > NAMED_MAX ? ', …' : ''
  return `${counted(partitions.length, 'partition')} (${named.join(', ')}${rest}) ${many}`
}
