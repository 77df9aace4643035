/**
 * The controller of this node behind the protocol: each request that the active controller decides, as a call of it, and the
 * answer that refuses it. Control plane.
 *
 * A change that clients build on is answered when every live broker has it in effect: a topic that was created is found
 * wherever one asks next.
 */
import { alterPartition } from '../controller/alter-partition.ts'
import { alterConfigs, incrementalAlterConfigs } from '../controller/configs.ts'
import type { Controller } from '../controller/controller.ts'
import { electLeaders } from '../controller/elect-leaders.ts'
import { createPartitions } from '../controller/partitions.ts'
import { alterPartitionReassignments } from '../controller/reassignments.ts'
import { createTopics, deleteTopics } from '../controller/topics.ts'
import type { Clock } from '../env/index.ts'
import type { RequestOf, ResponseOf } from '../protocol/apis.ts'
import { errorCode } from '../protocol/errors.ts'
import type { ErrorName } from '../protocol/errors.ts'
import type { RaftQuorum } from '../raft/raft-quorum.ts'
import type { ControllerApi, LocalController } from './controller-gateway.ts'
import { addVoter, removeVoter } from './voter-changes.ts'
import { describeQuorum } from './describe-quorum.ts'

export interface LocalControllerParts {
  readonly clusterId: string
  readonly clock: Clock
  readonly controller: Controller
  readonly quorum: RaftQuorum
  /** Resolves when all that is committed so far is in effect on this broker. */
  readonly metadataInEffect: () => Promise<void>
}

interface Served<A extends ControllerApi> {
  decide(parts: LocalControllerParts, request: RequestOf<A>): Promise<ResponseOf<A>> | ResponseOf<A>
  refuse(request: RequestOf<A>, error: ErrorName, message: string): ResponseOf<A>
}

/** How long a change may take to reach every live broker, in ms; one that takes longer is fenced before. */
const SPREAD_MS = 30_000

/** Answered once every live broker has the change in effect. */
const SPREADS: ReadonlySet<ControllerApi> = new Set<ControllerApi>([
  'AlterConfigs',
  'CreatePartitions',
  'CreateTopics',
  'DeleteTopics',
  'ElectLeaders',
  'IncrementalAlterConfigs',
])

const served: { readonly [A in ControllerApi]: Served<A> } = {
  AddRaftVoter: {
    decide: (parts, request) => addVoter(parts, request),
    refuse: (_request, error, errorMessage) => ({
      ...{ throttleTimeMs: 0, errorCode: errorCode(error), errorMessage },
    }),
  },
  AllocateProducerIds: {
    decide: async ({ controller }, request) => {
      const { error, firstId, count } = await controller.allocateProducerIds(request)
      return {
        ...{ throttleTimeMs: 0, errorCode: errorCode(error) },
        ...{ producerIdStart: firstId, producerIdLen: count },
      }
    },
    refuse: (_request, error) => ({
      ...{ throttleTimeMs: 0, errorCode: errorCode(error), producerIdStart: -1, producerIdLen: 0 },
    }),
  },
  AlterConfigs: {
    decide: ({ controller }, request) => controller.alterConfigs(request),
    ...refusal(alterConfigs),
  },
  AlterPartition: {
    decide: ({ controller }, request) => controller.alterPartition(request),
    ...refusal(alterPartition),
  },
  AlterPartitionReassignments: {
    decide: ({ controller }, request) => controller.alterPartitionReassignments(request),
    ...refusal(alterPartitionReassignments),
  },
  BrokerHeartbeat: {
    decide: async ({ controller }, request) => {
      const answer = await controller.heartbeat({
        brokerId: request.brokerId,
        brokerEpoch: request.brokerEpoch,
        metadataEndOffset: request.currentMetadataOffset + 1,
        wantsFence: request.wantFence,
        wantsShutdown: request.wantShutDown,
      })
      const { isCaughtUp, isFenced, mayShutDown: shouldShutDown } = answer
      return { throttleTimeMs: 0, errorCode: errorCode(answer.error), isCaughtUp, isFenced, shouldShutDown }
    },
    refuse: (_request, error) => ({
      throttleTimeMs: 0,
      errorCode: errorCode(error),
      ...{ isCaughtUp: false, isFenced: true, shouldShutDown: false },
    }),
  },
  BrokerRegistration: {
    decide: async ({ controller }, request) => {
      const { error, brokerEpoch } = await controller.registerBroker(request)
      return { throttleTimeMs: 0, errorCode: errorCode(error), brokerEpoch }
    },
    refuse: (_request, error) => ({ throttleTimeMs: 0, errorCode: errorCode(error), brokerEpoch: -1 }),
  },
  CreatePartitions: {
    decide: ({ controller }, request) => controller.createPartitions(request),
    ...refusal(createPartitions),
  },
  CreateTopics: {
    decide: ({ controller }, request) => controller.createTopics(request),
    ...refusal(createTopics),
  },
  DeleteTopics: {
    decide: ({ controller }, request) => controller.deleteTopics(request),
    ...refusal(deleteTopics),
  },
  DescribeQuorum: {
    decide: ({ clock, controller, quorum }, request) =>
      describeQuorum(request, controller.isActive ? quorum.describe() : null, controller.image, clock),
    refuse: (request, error, message) => ({
      ...describeQuorum(request, null, null, null),
      errorCode: errorCode(error),
      errorMessage: message,
    }),
  },
  DrainBroker: {
    decide: async ({ controller }, request) => {
      const { error, ...drained } = await controller.drainBroker(request.brokerId)
      return { throttleTimeMs: 0, errorCode: errorCode(error), ...drained }
    },
    refuse: (_request, error, errorMessage) => ({
      ...{ throttleTimeMs: 0, errorCode: errorCode(error), errorMessage },
      ...{ startedCount: 0, leftCount: 0, stuckCount: 0 },
    }),
  },
  ElectLeaders: {
    decide: ({ controller }, request) => controller.electLeaders(request),
    ...refusal(electLeaders),
  },
  IncrementalAlterConfigs: {
    decide: ({ controller }, request) => controller.incrementalAlterConfigs(request),
    ...refusal(incrementalAlterConfigs),
  },
  ListPartitionReassignments: {
    decide: ({ controller }, request) => controller.listPartitionReassignments(request),
    refuse: (_request, error, errorMessage) => ({
      ...{ throttleTimeMs: 0, errorCode: errorCode(error), errorMessage, topics: [] },
    }),
  },
  RemoveRaftVoter: {
    decide: (parts, request) => removeVoter(parts, request),
    refuse: (_request, error, errorMessage) => ({
      ...{ throttleTimeMs: 0, errorCode: errorCode(error), errorMessage },
    }),
  },
  RenewLeaderEpochs: {
    decide: async ({ controller }, request) => {
      const { error, errorMessage } = await controller.renewLeaderEpochs(request)
      return { throttleTimeMs: 0, errorCode: errorCode(error), errorMessage }
    },
    refuse: (_request, error, errorMessage) => ({
      throttleTimeMs: 0,
      errorCode: errorCode(error),
      errorMessage,
    }),
  },
  ResignReplicas: {
    decide: async ({ controller }, request) => {
      const { error, errorMessage } = await controller.resignReplicas(request)
      return { throttleTimeMs: 0, errorCode: errorCode(error), errorMessage }
    },
    refuse: (_request, error, errorMessage) => ({
      ...{ throttleTimeMs: 0, errorCode: errorCode(error), errorMessage },
    }),
  },
  UnregisterBroker: {
    decide: async ({ controller }, request) => {
      const { error, errorMessage } = await controller.unregisterBroker(request.brokerId)
      return { throttleTimeMs: 0, errorCode: errorCode(error), errorMessage }
    },
    refuse: (_request, error, errorMessage) => ({
      throttleTimeMs: 0,
      errorCode: errorCode(error),
      errorMessage,
    }),
  },
}

/** What the active controller decides, as its name on the wire. */
export function isControllerApi(api: string): api is ControllerApi {
  return Object.hasOwn(served, api)
}

export function localController(parts: LocalControllerParts): LocalController {
  return {
    async decide<A extends ControllerApi>(api: A, request: RequestOf<A>): Promise<ResponseOf<A>> {
      const { controller } = parts
      const endOffset = controller.image.endOffset
      const response = await (served[api] as Served<A>).decide(parts, request)
      if (SPREADS.has(api) && controller.image.endOffset > endOffset) {
        await controller.whenKnownToLiveBrokers(controller.image.endOffset, SPREAD_MS)
        await parts.metadataInEffect()
      }
      return response
    },
    refuse: (api, request, error, message) =>
      (served[api] as Served<typeof api>).refuse(request, error, message),
  }
}

/** The refusal of a concern, without its `this`. */
function refusal<Q, R>(concern: {
  refuse(request: Q, error: ErrorName, message: string): R
}): {
  refuse(request: Q, error: ErrorName, message: string): R
} {
  return { refuse: (request, error, message) => concern.refuse(request, error, message) }
}
