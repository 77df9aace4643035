/**
 * ElectLeaders (KIP-460): an operator asks for the preferred leader, or for any leader rather than none, which may lose
 * records and is flagged so (faults.md R15).
 */
import type { PartitionImage, TopicImage } from '../metadata/cluster-image.ts'
import { quote } from '../metadata/config-table.ts'
import { ITEMS_PER_REQUEST_MAX } from '../metadata/limits.ts'
import type { MetadataRecordInput } from '../metadata/records.ts'
import type { RequestOf, ResponseOf } from '../protocol/apis.ts'
import { errorCode } from '../protocol/errors.ts'
import { outcomeOf, Refusal, SUCCESS } from './concern.ts'
import type { Concern, DecisionContext, Outcome } from './concern.ts'
import { electionRules } from './elections.ts'
import { changeOf } from './partition-change.ts'
import type { ElectionRules } from './partition-change.ts'

type ElectLeadersRequest = RequestOf<'ElectLeaders'>
type ElectLeadersResponse = ResponseOf<'ElectLeaders'>
type TopicResult = ElectLeadersResponse['replicaElectionResults'][number]

const ELECTIONS = ['preferred', 'unclean'] as const

export const electLeaders: Concern<ElectLeadersRequest, ElectLeadersResponse> = {
  decide(request, context) {
    const election = ELECTIONS[request.electionType]
    if (election === undefined) return refused(request, 'INVALID_REQUEST')
    const count = request.topicPartitions?.reduce((sum, { partitions }) => sum + partitions.length, 0) ?? 0
    if (count > ITEMS_PER_REQUEST_MAX) return refused(request, 'POLICY_VIOLATION')
    const rulesOf = electionRules(context)
    const records: MetadataRecordInput[] = []
    const elected = new Set<string>()
    const results = targetsOf(request, context).map(({ name, topic, partitions }): TopicResult => {
      const partitionResult = partitions.map((partitionId) => {
        try {
          const partition = topic?.partitions[partitionId]
          if (topic === undefined || partition === undefined)
            throw new Refusal(
              'UNKNOWN_TOPIC_OR_PARTITION',
              `There is no partition ${quote(name)}-${partitionId}`,
            )
          if (elected.has(`${topic.id}:${partitionId}`))
            throw new Refusal('INVALID_REQUEST', 'The partition is named more than once')
          elected.add(`${topic.id}:${partitionId}`)
          const rules = rulesOf(topic)
          checkNeeded(partition, election, rules)
          const change = changeOf(partition, { election }, rules)
          if (change?.leader === undefined)
            throw new Refusal('ELIGIBLE_LEADERS_NOT_AVAILABLE', 'No replica of the partition is alive')
          records.push({ kind: 'partitionChange', topicId: topic.id, partitionId, ...change })
          return { partitionId, ...SUCCESS }
        } catch (error) {
          if (!(error instanceof Refusal)) throw error
          return { partitionId, ...outcomeOf(error.error, error.message) }
        }
      })
      return { topic: name, partitionResult }
    })
    // Of all partitions only those are told of where there was something to do.
    const shown = request.topicPartitions === null ? withoutNeedless(results) : results
    return { records, response: { throttleTimeMs: 0, errorCode: 0, replicaElectionResults: shown } }
  },

  refuse(request, error, message) {
    const outcome: Outcome = outcomeOf(error, message)
    const replicaElectionResults = (request.topicPartitions ?? []).map(({ topic, partitions }) => ({
      topic,
      partitionResult: partitions.map((partitionId) => ({ partitionId, ...outcome })),
    }))
    return { throttleTimeMs: 0, errorCode: outcome.errorCode, replicaElectionResults }
  },
}

function refused(request: ElectLeadersRequest, error: 'INVALID_REQUEST' | 'POLICY_VIOLATION') {
  const message =
    error === 'INVALID_REQUEST'
      ? `There is no election type ${request.electionType}: 0 is preferred, 1 unclean`
      : `The request names too many partitions, at most ${ITEMS_PER_REQUEST_MAX} are allowed`
  return { records: [], response: electLeaders.refuse(request, error, message) }
}

interface Target {
  readonly name: string
  readonly topic: TopicImage | undefined
  readonly partitions: readonly number[]
}

function targetsOf({ topicPartitions }: ElectLeadersRequest, { image }: DecisionContext): readonly Target[] {
  if (topicPartitions !== null) {
    return topicPartitions.map(({ topic: name, partitions }) => ({
      name,
      topic: image.topicsByName.get(name),
      partitions,
    }))
  }
  return [...image.topicsByName.values()].map((topic) => ({
    name: topic.name,
    topic,
    partitions: [...topic.partitions.keys()],
  }))
}

/** @throws {Refusal} `ELECTION_NOT_NEEDED`, `PREFERRED_LEADER_NOT_AVAILABLE`. */
function checkNeeded(
  { leader, replicas, isr }: PartitionImage,
  election: 'preferred' | 'unclean',
  rules: ElectionRules,
): void {
  if (election === 'unclean') {
    if (leader !== null) throw new Refusal('ELECTION_NOT_NEEDED', `Broker ${leader} leads the partition`)
    return
  }
  const preferred = replicas[0]!
  if (leader === preferred)
    throw new Refusal('ELECTION_NOT_NEEDED', `Broker ${leader} is the preferred leader and leads`)
  if (!isr.includes(preferred) || !rules.mayLead(preferred)) {
    const problem = isr.includes(preferred) ? 'it is about to stop' : 'it is not in sync'
    throw new Refusal('PREFERRED_LEADER_NOT_AVAILABLE', `Broker ${preferred} cannot lead: ${problem}`)
  }
}

function withoutNeedless(results: readonly TopicResult[]): TopicResult[] {
  const needless = errorCode('ELECTION_NOT_NEEDED')
  return results
    .map(({ topic, partitionResult }) => ({
      topic,
      partitionResult: partitionResult.filter((each) => each.errorCode !== needless),
    }))
    .filter(({ partitionResult }) => partitionResult.length > 0)
}
