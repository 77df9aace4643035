/**
 * The way of a broker to the active controller, wherever that is: a call in this process, or a request to the node that
 * leads the metadata quorum. While nobody leads, or whoever does is not the active controller yet, the call waits and is
 * made again.
 *
 *   call ──> leader here? ── yes ──> controller ──> NOT_CONTROLLER? ── no ──> answer
 *             │ no: a peer's request (rpc/peers.ts)      │ yes: wait a little, until the time is up
 *
 * Control plane.
 *
 * Invariants:
 * - A request that may have reached a controller is made again only if doing it twice is the same as doing it once.
 * - A request that a peer sent is answered here or not at all: requests never go in circles.
 */
import type { Clock } from '../env/index.ts'
import type { RequestInputOf, RequestOf, ResponseOf } from '../protocol/apis.ts'
import type { ErrorName } from '../protocol/errors.ts'
import { errorCode } from '../protocol/errors.ts'
import { ChannelError } from '../rpc/client-channel.ts'
import type { PeerChannel } from '../rpc/peer-channel.ts'

/** What is decided by the active controller. */
export type ControllerApi =
  | 'AddRaftVoter'
  | 'AllocateProducerIds'
  | 'AlterConfigs'
  | 'AlterPartition'
  | 'AlterPartitionReassignments'
  | 'BrokerHeartbeat'
  | 'BrokerRegistration'
  | 'CreatePartitions'
  | 'CreateTopics'
  | 'DeleteTopics'
  | 'DescribeQuorum'
  | 'DrainBroker'
  | 'ElectLeaders'
  | 'IncrementalAlterConfigs'
  | 'ListPartitionReassignments'
  | 'RemoveRaftVoter'
  | 'RenewLeaderEpochs'
  | 'ResignReplicas'
  | 'UnregisterBroker'

/** The controller of this node, active or not. */
export interface LocalController {
  decide<A extends ControllerApi>(api: A, request: RequestOf<A>): Promise<ResponseOf<A>>
  /** The answer that refuses a whole request. */
  refuse<A extends ControllerApi>(
    api: A,
    request: RequestOf<A>,
    error: ErrorName,
    message: string,
  ): ResponseOf<A>
}

export interface ControllerGatewayOptions {
  readonly nodeId: number
  /** The node that leads the metadata quorum, as far as this one knows. */
  readonly leaderId: () => number | null
  readonly local: LocalController
  /** What this broker asks of another node for itself. */
  readonly control: (nodeId: number) => PeerChannel
  /** What its clients ask. Its answers may wait for heartbeats, so heartbeats must never wait behind them. */
  readonly admin: (nodeId: number) => PeerChannel
}

/**
 * Asking for these twice, or doing them twice, is the same as once. AlterPartition is none of them: the refusal of a second
 * copy would say nothing of the first, which may still arrive; its caller counts copies (replication/isr-state.ts).
 */
const REPEATABLE: ReadonlySet<ControllerApi> = new Set<ControllerApi>([
  'AllocateProducerIds',
  'BrokerHeartbeat',
  'BrokerRegistration',
  'DescribeQuorum',
  'ListPartitionReassignments',
])

/** What brokers ask for themselves. */
const OWN: ReadonlySet<ControllerApi> = new Set<ControllerApi>([
  'AllocateProducerIds',
  'AlterPartition',
  'BrokerHeartbeat',
  'BrokerRegistration',
  'RenewLeaderEpochs',
  'ResignReplicas',
])

/** Between two tries, in ms: an election takes some hundred. */
const RETRY_MS = 25

const NOT_CONTROLLER = errorCode('NOT_CONTROLLER')

export class ControllerGateway {
  readonly #clock: Clock
  readonly #options: ControllerGatewayOptions
  #isClosed = false

  constructor(ports: { readonly clock: Clock }, options: ControllerGatewayOptions) {
    this.#clock = ports.clock
    this.#options = options
  }

  /** The node of the active controller, or of the one that is about to be; null while there is none. */
  get leaderId(): number | null {
    return this.#options.leaderId()
  }

  /** Answers a request that another node sent to the controller that it takes this one for. */
  answerPeer<A extends ControllerApi>(api: A, request: RequestOf<A>): Promise<ResponseOf<A>> {
    return this.#options.local.decide(api, request)
  }

  /**
   * Asks the active controller. Never rejects: when no controller could be asked in time the answer says NOT_CONTROLLER,
   * and REQUEST_TIMED_OUT when one was asked and what it did is not known.
   *
   * @param timeoutMs - Time in all, in ms.
   */
  async call<A extends ControllerApi>(
    api: A,
    request: RequestOf<A>,
    timeoutMs: number,
  ): Promise<ResponseOf<A>> {
    const { local } = this.#options
    const deadlineMs = this.#clock.monotonicMs() + timeoutMs
    let refusal: ErrorName = 'NOT_CONTROLLER'
    let reason = 'There is no active controller: are a majority of the voters of the metadata quorum up?'
    for (;;) {
      const leftMs = deadlineMs - this.#clock.monotonicMs()
      if (leftMs <= 0 || this.#isClosed) return local.refuse(api, request, refusal, reason)
      try {
        const response = await this.#try(api, request, leftMs)
        if (response !== null && !isRefusedByPassive(response)) return response
      } catch (error) {
        if (!(error instanceof ChannelError)) throw error
        reason = error.message
        if (error.wasSent) {
          refusal = 'REQUEST_TIMED_OUT'
          if (!REPEATABLE.has(api)) return local.refuse(api, request, refusal, reason)
        }
      }
      await this.#pause(Math.min(RETRY_MS, Math.max(0, deadlineMs - this.#clock.monotonicMs())))
    }
  }

  /** Calls that wait for a controller are refused at once: this broker stops. */
  close(): void {
    this.#isClosed = true
  }

  /** @returns Null while nobody leads. @throws {ChannelError} */
  async #try<A extends ControllerApi>(
    api: A,
    request: RequestOf<A>,
    timeoutMs: number,
  ): Promise<ResponseOf<A> | null> {
    const { nodeId, leaderId, local, control, admin } = this.#options
    const leader = leaderId()
    if (leader === null) return null
    if (leader === nodeId) return local.decide(api, request)
    // What was decoded can be encoded: both forms hold the same fields.
    const channel = OWN.has(api) ? control(leader) : admin(leader)
    return channel.call(api, request as unknown as RequestInputOf<A>, { timeoutMs })
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => void this.#clock.after(ms, resolve))
  }
}

/** Whether whoever answered is no active controller. It says so for the whole request, or for each item of it. */
function isRefusedByPassive(response: object): boolean {
  if ('errorCode' in response && response.errorCode === NOT_CONTROLLER) return true
  for (const items of Object.values(response)) {
    if (!Array.isArray(items)) continue
    const [first] = items as readonly unknown[]
    const isRefusal =
      typeof first === 'object' &&
      first !== null &&
      'errorCode' in first &&
      first.errorCode === NOT_CONTROLLER
    if (isRefusal) return true
  }
  return false
}
