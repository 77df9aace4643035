/**
 * Any broker answers a WebSocket client: what another broker must answer is passed on to it. So one URL behind one load balancer
 * is enough for browsers, which reach no broker by itself.
 *
 *   client ──> this broker: who must answer? ── here ──> handler
 *                  │ another (request-route.ts)
 *                  └─ Forward ──> that broker: handler, whatever it says ── answer ──> client
 *
 * Clients over TCP find leaders themselves, as everywhere with Kafka: nothing of theirs is passed on.
 *
 * Invariants:
 * - A request is passed on once at most: what another broker has passed on is answered here (forwarded-requests.ts).
 * - What one client waits for holds up no other, and what is passed on has the rights of a client alone (docs/faults.md X4).
 */
import type { Peers } from '../rpc/peers.ts'
import type { Exchange, ServerChannel } from '../rpc/server-channel.ts'
import { AnswerRoom } from './answer-room.ts'
import { ForwardingClient } from './forwarding-client.ts'
import type { Answer, ForwardingPorts, Passage } from './forwarding-client.ts'
import { partsOf } from './gathered-requests.ts'
import { findAnswerer, isRouted } from './request-route.ts'
import type { ClientRequest } from './request-route.ts'
import type { BrokerServices, RequestContext } from './services.ts'

/** What a broker of a cluster forwards with, both ways. */
export function forwardingBetween(services: BrokerServices, peers: Peers) {
  const { clock, config, image, partitions } = services
  const findCoordinator = (groupId: string): number | null => services.groups.findCoordinator(groupId)
  const route = { nodeId: config.nodeId, image, partitions, findCoordinator }
  return {
    forwarded: { ...services, responseBudget: peers.forwardResponseBudget },
    forwarding: new RequestForwarding({
      ...{ clock, services },
      acquire: (nodeId, kind, signal) => peers.forwards.acquire(nodeId, kind, signal),
      answererOf: (request) => findAnswerer(route, request),
      partsOf: (request) => partsOf(route, request, config.webSocketAddress !== null),
      answerRoom: new AnswerRoom(config.responseBytesMax),
    }),
  }
}

export class RequestForwarding {
  readonly #ports: ForwardingPorts
  readonly #clients = new WeakMap<ServerChannel, ForwardingClient>()

  constructor(ports: ForwardingPorts) {
    this.#ports = ports
  }

  /** Answers a request here or by another broker. @param here - Answers it here. */
  handle(
    request: ClientRequest,
    exchange: Exchange,
    context: RequestContext,
    here: Passage['here'],
  ): Answer | Promise<Answer> {
    if (context.transport !== 'websocket' || !isRouted(request)) return here()
    const { channel, frame } = exchange
    let client = this.#clients.get(channel)
    if (client === undefined) {
      client = new ForwardingClient(this.#ports, channel)
      this.#clients.set(channel, client)
    }
    return client.handle({ request, frame, context, here })
  }
}
