/**
 * A client of one connection that says exactly what the test wants: whole requests through the codec, or any bytes.
 * Answers come in the order of the requests, and are matched by that and by their correlation ids.
 */
import { expect } from 'vitest'
import type { Connection } from '../../src/env/index.ts'
import { apis } from '../../src/protocol/apis.ts'
import type { ApiName, RequestInputOf, ResponseOf } from '../../src/protocol/apis.ts'
import { decodeResponse, encodeRequest } from '../../src/protocol/frame.ts'

export class RawClient {
  readonly connection: Connection
  readonly #answers: Uint8Array[] = []
  readonly #waiting: { resolve: (frame: Uint8Array) => void; reject: (error: Error) => void }[] = []
  #correlationId = 0
  #closeReason: string | null = null
  /** Resolves with the reason when the connection is gone. */
  readonly closed: Promise<string>

  constructor(connection: Connection) {
    this.connection = connection
    let resolveClosed: (reason: string) => void
    this.closed = new Promise((resolve) => (resolveClosed = resolve))
    connection.onMessage = (frame) => {
      const waiting = this.#waiting.shift()
      if (waiting === undefined) this.#answers.push(frame)
      else waiting.resolve(frame)
    }
    connection.onClose = (reason) => {
      this.#closeReason = reason
      resolveClosed(reason)
      for (const { reject } of this.#waiting.splice(0)) reject(closedError(reason))
    }
  }

  get isClosed(): boolean {
    return this.#closeReason !== null
  }

  /** Answers that came and that nobody took. */
  get unreadCount(): number {
    return this.#answers.length
  }

  send(frame: readonly Uint8Array[] | Uint8Array): void {
    this.connection.send(frame instanceof Uint8Array ? [frame] : frame)
  }

  /** The next answer. Rejects when the connection closes first. */
  receive(): Promise<Uint8Array> {
    const frame = this.#answers.shift()
    if (frame !== undefined) return Promise.resolve(frame)
    if (this.#closeReason !== null) return Promise.reject(closedError(this.#closeReason))
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }))
  }

  /** Sends a request and gives its answer, which must be the next to come. */
  async call<A extends ApiName>(
    api: A,
    version: number,
    body: RequestInputOf<A>,
    clientId: string | null = 'raw',
  ): Promise<ResponseOf<A>> {
    const correlationId = ++this.#correlationId
    this.send(encodeRequest(api, version, correlationId, clientId, body))
    const answer = decodeResponse(api, version, await this.receive())
    expect(answer.correlationId).toBe(correlationId)
    return answer.body
  }

  /** Sends a request that wants no answer. */
  tell<A extends ApiName>(api: A, version: number, body: RequestInputOf<A>): void {
    this.send(encodeRequest(api, version, ++this.#correlationId, 'raw', body))
  }

  close(): void {
    this.connection.close()
  }
}

/** The versions of an API that are served. */
export function versionsOf(api: ApiName, first = 0, last = Infinity): number[] {
  const { versions } = apis[api]
  const from = Math.max(first, versions.first)
  const count = Math.min(last, versions.last) - from + 1
  return Array.from({ length: Math.max(0, count) }, (_, index) => from + index)
}

function closedError(reason: string): Error {
  return new Error(`The connection closed: ${reason}`)
}
