/**
 * Runs the handshake with other nodes on connections, both ways: nobody gets past it in any other way.
 *
 * A refusal is sent before the connection closes. Whoever is not through in time is told so and closed; of those in the
 * middle of it there are so many at most, and one more ends the oldest, which by then has had longer than it needs. Until
 * the proof a frame has at most `HANDSHAKE_BYTES_MAX` bytes.
 */
import type { Cancel, Clock, Connection, Logger, Network, Random } from '../env/index.ts'
import { PeerError } from './peer-error.ts'
import { AcceptorHandshake, DiallerHandshake } from './peer-handshake.ts'
import type { Handshake, HandshakeContext, HandshakeStep, PeerIdentity, PeerSelf } from './peer-handshake.ts'
import type { PeerLimits, PeerSession } from './peer-limits.ts'
import { encodePeerMessage, HANDSHAKE_BYTES_MAX, refusalMessage } from './peer-messages.ts'
import type { PeerPurpose, RefusalReason } from './peer-messages.ts'

export interface PeerPorts {
  readonly clock: Clock
  readonly random: Random
  readonly network: Network
  readonly logger: Logger
}

export interface PeerDoorOptions {
  readonly self: PeerSelf
  readonly limits: PeerLimits
  /** As `HandshakeContext.admits`. */
  readonly admits: (peer: PeerIdentity) => string | null
  /** Takes a session that another node opened, in the turn in which it is proven. */
  readonly onSession: (session: PeerSession) => void
}

/** Takes the outcome of an attempt to connect, exactly one of the two, once. */
export interface DialOutcome {
  /** In the turn in which it is proven: what comes next on the connection is the session's. */
  readonly opened: (session: PeerSession) => void
  readonly failed: (error: PeerError) => void
}

/** The same refusal is a warning only so often, in ms: who is refused tries again and again. */
const WARN_PAUSE_MS = 10_000

export class PeerDoor {
  readonly #ports: PeerPorts
  readonly #options: PeerDoorOptions
  /** Oldest first. */
  readonly #accepted = new Set<Greeting>()
  readonly #warnedAtMs = new Map<string, number>()
  #isClosed = false

  constructor(ports: PeerPorts, options: PeerDoorOptions) {
    this.#ports = ports
    this.#options = options
  }

  /** Takes a connection whose subprotocol is `millrace-peer`, in the turn in which it was accepted. */
  accept(connection: Connection): void {
    const { self, limits, onSession } = this.#options
    if (this.#isClosed) {
      connection.close()
      return
    }
    const greeting = new Greeting(this.#ports, limits, connection, {
      handshake: new AcceptorHandshake(self, this.#contextOf(connection)),
      opened: (peer, purpose) => {
        this.#accepted.delete(greeting)
        onSession({ connection, peer, purpose, isDialled: false })
      },
      failed: (error) => {
        this.#accepted.delete(greeting)
        this.#warn('Refused a node of the cluster', error, connection.remote)
      },
    })
    this.#accepted.add(greeting)
    if (this.#accepted.size <= limits.handshakesMax) return
    const [oldest] = this.#accepted
    oldest?.refuse({ code: 'PEER_BUSY', reason: 'too many connections are in the middle of a handshake' })
  }

  /** @returns Gives the attempt up; nothing is called then. */
  dial(url: string, toNodeId: number, purpose: PeerPurpose, outcome: DialOutcome): Cancel {
    const { limits } = this.#options
    const giveUp = new AbortController()
    let greeting: Greeting | null = null
    const attempt = this.#ports.network.connect(url, {
      timeoutMs: limits.handshakeMs,
      messageBytesMax: limits.messageBytesMax,
      sendHighWaterBytes: limits.sendHighWaterBytes,
      subprotocol: 'millrace-peer',
      signal: giveUp.signal,
    })
    const onConnected = (connection: Connection): void => {
      if (giveUp.signal.aborted) connection.close()
      else greeting = this.#greet(connection, toNodeId, purpose, outcome)
    }
    const onFailed = (cause: unknown): void => {
      if (giveUp.signal.aborted) return
      const why = cause instanceof Error ? cause.message : String(cause)
      const attempt = `No connection to node ${toNodeId} for ${purpose}`
      outcome.failed(new PeerError('PEER_UNREACHABLE', why, { cause, attempt }))
    }
    attempt.then(onConnected, onFailed)
    return () => {
      giveUp.abort()
      greeting?.abandon()
    }
  }

  /** Ends what is in the middle of a handshake, and refuses what comes. */
  close(): void {
    this.#isClosed = true
    for (const greeting of [...this.#accepted]) greeting.abandon()
    this.#accepted.clear()
  }

  #greet(connection: Connection, toNodeId: number, purpose: PeerPurpose, outcome: DialOutcome): Greeting {
    const { self, limits } = this.#options
    const handshake = new DiallerHandshake(self, this.#contextOf(connection), toNodeId, purpose)
    const greeting = new Greeting(this.#ports, limits, connection, {
      handshake,
      opened: (peer) => outcome.opened({ connection, peer, purpose, isDialled: true }),
      failed: (error) => {
        const { code, cause, reason } = error
        const attempt = `No connection to node ${toNodeId} for ${purpose}`
        outcome.failed(new PeerError(code, reason, { cause, attempt }))
      },
    })
    greeting.go(handshake.start())
    return greeting
  }

  #contextOf({ isLoopback }: Connection): HandshakeContext {
    return { isLoopback, nonce: this.#ports.random.uuid(), admits: this.#options.admits }
  }

  #warn(what: string, error: PeerError, remote: string): void {
    const nowMs = this.#ports.clock.monotonicMs()
    const isFresh = nowMs - (this.#warnedAtMs.get(error.code) ?? -Infinity) >= WARN_PAUSE_MS
    if (isFresh) this.#warnedAtMs.set(error.code, nowMs)
    this.#ports.logger[isFresh ? 'warn' : 'debug'](what, { remote, code: error.code, reason: error.message })
  }
}

interface GreetingOptions {
  readonly handshake: Handshake
  readonly opened: (peer: PeerIdentity, purpose: PeerPurpose) => void
  readonly failed: (error: PeerError) => void
}

/** One connection in the middle of a handshake. Ends once, with `opened`, with `failed`, or abandoned. */
class Greeting {
  readonly #limits: PeerLimits
  readonly #connection: Connection
  readonly #options: GreetingOptions
  readonly #cancelDeadline: Cancel
  #isOver = false

  constructor(ports: PeerPorts, limits: PeerLimits, connection: Connection, options: GreetingOptions) {
    this.#limits = limits
    this.#connection = connection
    this.#options = options
    connection.setBounds({ messageBytesMax: HANDSHAKE_BYTES_MAX })
    connection.onMessage = (frame) => this.go(options.handshake.receive(frame))
    connection.onClose = (reason) =>
      this.#fail('PEER_LOST', `the connection closed during the handshake: ${reason}`)
    this.#cancelDeadline = ports.clock.after(limits.handshakeMs, () =>
      this.refuse({
        code: 'PEER_HANDSHAKE_TIMED_OUT',
        reason: `the handshake was not over within ${limits.handshakeMs} ms`,
      }),
    )
  }

  go(step: HandshakeStep): void {
    if (this.#isOver) return
    switch (step.kind) {
      case 'say':
        this.#connection.send([step.frame])
        return
      case 'refuse':
        this.refuse(step.refusal)
        return
      case 'refused':
        this.#connection.close()
        this.#fail(step.refusal.code, `the other end refuses: ${step.refusal.reason}`)
        return
      case 'done':
        if (step.frame !== null) this.#connection.send([step.frame])
        this.#end()
        this.#connection.setBounds({
          messageBytesMax: this.#limits.messageBytesMax,
          idleMs: this.#limits.idleMs,
        })
        this.#options.opened(step.peer, step.purpose)
    }
  }

  /** Tells the other end why, then closes. */
  refuse(refusal: RefusalReason): void {
    if (this.#isOver) return
    this.#connection.send([encodePeerMessage(refusalMessage(refusal))])
    this.#connection.close()
    this.#fail(refusal.code, refusal.reason)
  }

  abandon(): void {
    if (this.#isOver) return
    this.#end()
    this.#connection.close()
  }

  #fail(code: PeerError['code'], why: string): void {
    if (this.#isOver) return
    this.#end()
    const { claimed } = this.#options.handshake
    const who = claimed === null ? '' : ` (calls itself node ${claimed.nodeId})`
    this.#options.failed(new PeerError(code, `${why}${who}`))
  }

  #end(): void {
    this.#isOver = true
    this.#cancelDeadline()
    this.#connection.onMessage = () => undefined
    this.#connection.onClose = () => undefined
  }
}
