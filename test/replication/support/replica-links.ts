/**
 * Connections between the nodes of a replication test: ordered and reliable while they last, like a WebSocket; slow, cut, and
 * at times with a last request that arrives long after the connection is gone. Requests and answers go through the codec.
 */
import {
  decodePeerRequest,
  decodeResponse,
  encodeRequest,
  encodeResponse,
} from '../../../src/protocol/frame.ts'
import { apis } from '../../../src/protocol/apis.ts'
import type { RequestInputOf, ResponseOf } from '../../../src/protocol/apis.ts'
import type { Prng } from '../../../src/env/sim/prng.ts'
import type { Simulation } from '../../../src/env/sim/simulation.ts'
import type { FetchLink } from '../../../src/replication/replica-fetcher.ts'
import type { ReplicaConnection } from '../../../src/replication/replica-session.ts'
import type { NodeLife } from './replica-node.ts'

const VERSION = apis.Fetch.versions.last
const LATE_MS_MAX = 800

interface Call {
  readonly resolve: (response: ResponseOf<'Fetch'>) => void
  readonly reject: (error: Error) => void
}

/** Messages one way: each takes a drawn time, none overtakes another. */
class Pipe {
  readonly #simulation: Simulation
  readonly #draw: () => number
  readonly #queue: (() => void)[] = []

  constructor(simulation: Simulation, draw: () => number) {
    this.#simulation = simulation
    this.#draw = draw
  }

  send(deliver: () => void): void {
    this.#queue.push(deliver)
    this.#simulation.schedule(this.#draw(), 'message between replicas', () => this.#queue.shift()?.())
  }

  /** The connection is gone. @returns What was under way. */
  drop(): (() => void)[] {
    return this.#queue.splice(0)
  }
}

class Connection implements ReplicaConnection {
  readonly from: NodeLife
  readonly to: NodeLife
  readonly #links: ReplicaLinks
  readonly #there: Pipe
  readonly #back: Pipe
  readonly #calls: Call[] = []
  readonly #exchanges: { answer: Uint8Array | null }[] = []
  readonly #watchers = new Set<() => void>()
  isEnding = false

  constructor(links: ReplicaLinks, from: NodeLife, to: NodeLife) {
    this.#links = links
    this.from = from
    this.to = to
    this.#there = new Pipe(links.simulation, () => links.drawMs())
    this.#back = new Pipe(links.simulation, () => links.drawMs())
  }

  watchEnd(watcher: () => void): void {
    this.#watchers.add(watcher)
  }

  unwatchEnd(watcher: () => void): void {
    this.#watchers.delete(watcher)
  }

  call(request: RequestInputOf<'Fetch'>, timeoutMs: number): Promise<ResponseOf<'Fetch'>> {
    const frame = Buffer.concat(encodeRequest('Fetch', VERSION, 1, null, request))
    return new Promise((resolve, reject) => {
      const call = { resolve, reject }
      this.#calls.push(call)
      this.from.env.clock.after(timeoutMs, () => {
        if (this.#calls.includes(call)) this.cut()
      })
      this.#there.send(() => this.to.inTurn(() => this.#arrived(frame)))
    })
  }

  /** Both ends learn of it; what was under way is lost, but for a request that may come late. */
  cut(): void {
    if (this.isEnding) return
    this.isEnding = true
    this.#links.gone(this)
    const requests = this.#there.drop()
    this.#back.drop()
    const late = requests[0]
    if (late !== undefined && this.#links.random.chance(0.5)) {
      this.#links.counts.lateRequests++
      this.#links.simulation.schedule(
        this.#links.random.between(0, LATE_MS_MAX),
        'late request of a replica',
        late,
      )
    }
    const watchers = [...this.#watchers]
    this.#links.simulation.schedule(this.#links.drawMs(), 'end of a connection', () =>
      this.to.inTurn(() => watchers.forEach((watcher) => watcher())),
    )
    for (const call of this.#calls.splice(0))
      this.from.inTurn(() => call.reject(new Error('The connection is gone')))
  }

  #arrived(frame: Uint8Array): void {
    const decoded = decodePeerRequest(frame)
    if (decoded.kind !== 'served' || decoded.name !== 'Fetch') throw new Error('Expected a fetch')
    const exchange: { answer: Uint8Array | null } = { answer: null }
    this.#exchanges.push(exchange)
    const respond = (response: Parameters<typeof encodeResponse<'Fetch'>>[3]): void => {
      exchange.answer = Buffer.concat(encodeResponse('Fetch', VERSION, 1, response))
      for (
        let next = this.#exchanges[0]?.answer ?? null;
        next !== null;
        next = this.#exchanges[0]?.answer ?? null
      ) {
        this.#exchanges.shift()
        this.#answer(next)
      }
    }
    const result = this.to.sessions.serve(decoded.body, this.from.id, this)
    if (result instanceof Promise) void result.then(respond, (error: unknown) => this.#links.onError(error))
    else respond(result)
  }

  #answer(frame: Uint8Array): void {
    if (this.isEnding) return
    this.#back.send(() =>
      this.from.inTurn(() => {
        const call = this.#calls.shift()
        if (call !== undefined) call.resolve(decodeResponse('Fetch', VERSION, frame).body)
      }),
    )
  }
}

export class ReplicaLinks {
  readonly simulation: Simulation
  readonly random: Prng
  readonly counts = { cuts: 0, lateRequests: 0 }
  /** Bounds of the time that a message takes, in ms. */
  delayMs: readonly [number, number] = [0.05, 1]
  onError: (error: unknown) => void = () => undefined
  readonly #connections = new Set<Connection>()
  readonly #blocked = new Set<string>()
  #lives: (id: number) => NodeLife | null

  constructor(simulation: Simulation, lives: (id: number) => NodeLife | null) {
    this.simulation = simulation
    this.random = simulation.stream('links of replicas')
    this.#lives = lives
  }

  drawMs(): number {
    return this.random.between(...this.delayMs)
  }

  linkFrom(from: NodeLife, leaderId: number): FetchLink {
    let connection: Connection | null = null
    return {
      call: (request, timeoutMs) => {
        if (connection === null || connection.isEnding) {
          const to = this.#lives(leaderId)
          if (to === null || this.#blocked.has(`${from.id} ${leaderId}`)) return this.#refuse(from)
          connection = new Connection(this, from, to)
          this.#connections.add(connection)
        }
        return connection.call(request, timeoutMs)
      },
    }
  }

  /** No connections from one node to another until `heal`. */
  block(from: number, to: number): void {
    this.#blocked.add(`${from} ${to}`)
    this.cut(from, to)
  }

  heal(): void {
    this.#blocked.clear()
  }

  cut(from: number, to: number): void {
    for (const connection of [...this.#connections]) {
      if (connection.from.id !== from || connection.to.id !== to) continue
      this.counts.cuts++
      connection.cut()
    }
  }

  /** A node has died: its connections go with it. */
  died(id: number): void {
    for (const connection of [...this.#connections])
      if (connection.from.id === id || connection.to.id === id) connection.cut()
  }

  gone(connection: Connection): void {
    this.#connections.delete(connection)
  }

  #refuse(from: NodeLife): Promise<never> {
    return new Promise((_resolve, reject) => {
      from.env.clock.after(5, () => reject(new Error('The leader is not to be reached')))
    })
  }
}
