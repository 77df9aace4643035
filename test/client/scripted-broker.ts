/**
 * A broker played by the test, in virtual time: it answers by the rules a test gives it, keeps what it was sent, and
 * can leave requests unanswered or break the connection. The client under test is the real one, over real frames.
 */
import { Client } from '../../src/client/client.ts'
import type { ClientOptions } from '../../src/client/client-options.ts'
import { InProcessNetwork } from '../../src/env/memory/in-process-network.ts'
import type { Connection } from '../../src/env/index.ts'
import { silentLogger } from '../../src/env/index.ts'
import { Simulation } from '../../src/env/sim/simulation.ts'
import { apiList } from '../../src/protocol/apis.ts'
import type { ApiName, RequestOf, ResponseInputOf } from '../../src/protocol/apis.ts'
import { errorCode } from '../../src/protocol/errors.ts'
import type { ErrorName } from '../../src/protocol/errors.ts'
import { decodeRequest, encodeResponse } from '../../src/protocol/frame.ts'
import { readBatchHeader } from '../../src/records/batch-header.ts'
import type { BatchHeader } from '../../src/records/batch-header.ts'
import { seedFromEnv } from '../support/seed.ts'

const SEED = seedFromEnv('client')
export const TOPIC_ID = 'Q2hhdHRhbm9vZ2FDaG9vQQ'

/** What becomes of a request: an answer, none yet, or a broken connection. */
export type Reaction<A extends ApiName> = ResponseInputOf<A> | 'silence' | 'close'
export type Rules = { [A in ApiName]?: (request: RequestOf<A>, call: Call) => Reaction<A> }

export interface Call {
  readonly connection: Connection
  /** Of the broker that was called, when several play together. */
  readonly name: string
  readonly version: number
  /** How often this API was called before. */
  readonly index: number
  /** Answers later, after 'silence'. */
  readonly answer: (body: never) => void
}

const LIMITS = {
  messageBytesMax: 100_000_000,
  connectionsMax: 100,
  connectionsPerAddressMax: 100,
  handshakeMs: 1000,
  idleMs: 1000,
  messageMs: 1000,
  sendHighWaterBytes: 1_000_000,
  sendStallMs: 1000,
}

export class ScriptedBroker {
  readonly simulation: Simulation
  readonly network: InProcessNetwork
  readonly requests: { readonly api: ApiName; readonly body: never; readonly version: number }[] = []
  readonly connections: Connection[] = []
  /** What clients warned of. */
  readonly warnings: string[] = []
  readonly rules: Rules
  partitionCount: number
  readonly #counts = new Map<ApiName, number>()
  readonly #clients: Client[] = []

  constructor(rules: Rules = {}, partitionCount = 1) {
    this.simulation = new Simulation({ seed: SEED })
    const { clock } = this.simulation.env('client')
    this.network = new InProcessNetwork({ clock })
    this.rules = rules
    this.partitionCount = partitionCount
  }

  async listen(name = 'scripted'): Promise<void> {
    const options = { host: name, port: 0, protocols: ['kafka'] as const, limits: LIMITS, origins: [] }
    await this.network.listen(options, (connection) => this.#accept(connection, name))
  }

  client(options: Partial<ClientOptions> = {}): Client {
    const { clock, random } = this.simulation.env('client')
    const logger = { ...silentLogger, warn: (message: string) => void this.warnings.push(message) }
    const ports = { clock, random, network: this.network, logger }
    const client = new Client(ports, { bootstrap: 'in-process://scripted', ...options })
    this.#clients.push(client)
    return client
  }

  /** Runs virtual time until the promise settles. */
  async settled<T>(promise: Promise<T>, limitMs = 1_000_000): Promise<T> {
    return this.simulation.runUntil(promise, limitMs)
  }

  /** Lets some virtual time pass. */
  async pass(ms: number): Promise<void> {
    await this.simulation.run(this.simulation.nowMs + ms)
  }

  requestsOf<A extends ApiName>(api: A): RequestOf<A>[] {
    return this.requests.filter((request) => request.api === api).map(({ body }) => body)
  }

  #accept(connection: Connection, brokerName: string): void {
    this.connections.push(connection)
    connection.onMessage = (frame) => {
      const request = decodeRequest(frame)
      if (request.kind === 'unserved') {
        connection.close('unserved')
        return
      }
      const { name, header, body } = request
      this.requests.push({ api: name, body: body as never, version: header.apiVersion })
      const index = this.#counts.get(name) ?? 0
      this.#counts.set(name, index + 1)
      const answer = (response: never): void => {
        const isRefusal = name === 'ApiVersions' && (response as { errorCode: number }).errorCode === 35
        const version = isRefusal ? 0 : header.apiVersion // KIP-511
        connection.send(encodeResponse(name, version, header.correlationId, response))
      }
      const rule = (this.rules[name] ?? DEFAULTS[name]) as ((body: never, call: Call) => unknown) | undefined
      const call = { connection, name: brokerName, version: header.apiVersion, index, answer, broker: this }
      const reaction = rule?.(body as never, call) ?? 'close'
      if (reaction === 'close') connection.close('scripted')
      else if (reaction !== 'silence') answer(reaction as never)
    }
  }
}

const DEFAULTS: {
  [A in ApiName]?: (request: RequestOf<A>, call: Call & { broker: ScriptedBroker }) => Reaction<A>
} = {
  ApiVersions: () => ({
    errorCode: 0,
    apiKeys: apiList.map(({ key, versions }) => ({
      apiKey: key,
      minVersion: versions.first,
      maxVersion: versions.last,
    })),
  }),
  Metadata: (request, { broker }) => metadata(request, broker.partitionCount),
  InitProducerId: () => ({ errorCode: 0, producerId: 7, producerEpoch: 0 }),
}

export function metadata(
  request: RequestOf<'Metadata'>,
  partitionCount: number,
): ResponseInputOf<'Metadata'> {
  return {
    brokers: [{ nodeId: 1, host: 'scripted', port: 1 }],
    clusterId: 'cluster',
    controllerId: 1,
    topics: (request.topics ?? []).map(({ name }) => ({
      errorCode: 0,
      name,
      topicId: TOPIC_ID,
      partitions: Array.from({ length: partitionCount }, (_, partitionIndex) => ({
        errorCode: 0,
        partitionIndex,
        leaderId: 1,
        leaderEpoch: 0,
        replicaNodes: [1],
        isrNodes: [1],
      })),
    })),
  }
}

/** Headers of the batches in a produce request. */
export function batchesOf(request: RequestOf<'Produce'>): (BatchHeader & { partition: number })[] {
  return request.topicData.flatMap(({ partitionData }) =>
    partitionData.map(({ index, records }) => ({
      ...readBatchHeader(records as Uint8Array),
      partition: index,
    })),
  )
}

/** An answer to a produce request that treats all its batches alike. */
export function produced(
  request: RequestOf<'Produce'>,
  error: ErrorName = 'NONE',
  baseOffset = 0,
): ResponseInputOf<'Produce'> {
  return {
    responses: request.topicData.map(({ name, topicId, partitionData }) => ({
      name,
      topicId,
      partitionResponses: partitionData.map(({ index }) => ({
        index,
        errorCode: errorCode(error),
        baseOffset: error === 'NONE' ? baseOffset : -1,
      })),
    })),
  }
}
