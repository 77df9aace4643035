/**
 * What the broker's port answers to plain HTTP: `/healthz` (the process works), `/readyz` (it serves every partition
 * it should), `/metrics`. Everything is read-only.
 */
import type { HttpRequest, HttpResponse } from '../env/index.ts'

export interface HealthSources {
  /** Why the broker is not ready, one sentence each; empty when it is. */
  readonly unreadiness: () => readonly string[]
  readonly metrics: () => string
}

const PLAIN_TEXT = { 'content-type': 'text/plain; charset=utf-8' }

export function answerHttp(request: HttpRequest, sources: HealthSources): HttpResponse {
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    return {
      status: 405,
      headers: { ...PLAIN_TEXT, allow: 'GET, HEAD' },
      body: 'Only GET and HEAD are answered here\n',
    }
  }
  switch (request.path) {
    case '/healthz':
      return { status: 200, headers: PLAIN_TEXT, body: 'ok\n' }
    case '/readyz': {
      const reasons = sources.unreadiness()
      if (reasons.length === 0) return { status: 200, headers: PLAIN_TEXT, body: 'ready\n' }
      return { status: 503, headers: PLAIN_TEXT, body: `${reasons.join('\n')}\n` }
    }
    case '/metrics':
      return {
        status: 200,
        headers: { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' },
        body: sources.metrics(),
      }
    default:
      return {
        status: 404,
        headers: PLAIN_TEXT,
        body: 'This is a Millrace broker: see /healthz, /readyz and /metrics, or speak Kafka over TCP or WebSocket here\n',
      }
  }
}
