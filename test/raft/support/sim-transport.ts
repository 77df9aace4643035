/** A network for Raft messages in the simulation: delays, losses, repetitions, one-way cuts. */
import type { Prng } from '../../../src/env/sim/prng.ts'
import type { Simulation } from '../../../src/env/sim/simulation.ts'
import { decodeRaftMessage } from '../../../src/raft/raft-messages.ts'
import type { RaftMessage } from '../../../src/raft/raft-messages.ts'
import type { RaftTransport } from '../../../src/raft/raft-transport.ts'

export interface LinkFaults {
  /** Probabilities per message. */
  lossRate: number
  repeatRate: number
  lateRate: number
}

export class SimRaftNetwork {
  readonly faults: LinkFaults = { lossRate: 0, repeatRate: 0, lateRate: 0 }
  /** Directed: `from>to`. */
  readonly cuts = new Set<string>()
  /** Sees every message as it is sent. */
  onSend: (fromId: number, toId: number, message: RaftMessage) => void = () => undefined
  /** Drops what it returns true for. */
  drops: (fromId: number, toId: number, message: RaftMessage) => boolean = () => false
  readonly #simulation: Simulation
  readonly #random: Prng
  readonly #members = new Map<number, RaftTransport>()

  constructor(simulation: Simulation) {
    this.#simulation = simulation
    this.#random = simulation.stream('raft network')
  }

  /** The transport of one life of a node; messages to its earlier lives reach the present one. */
  join(id: number): RaftTransport {
    const transport: RaftTransport = {
      send: (toId, pieces) => {
        if (this.#members.get(id) !== transport) return
        const bytes = Uint8Array.from(Buffer.concat(pieces))
        const message = decodeRaftMessage(bytes.slice())
        this.onSend(id, toId, message)
        const isLost = this.#random.chance(this.faults.lossRate) || this.drops(id, toId, message)
        const isRepeated = this.#random.chance(this.faults.repeatRate)
        if (!isLost) this.#deliver(id, toId, message.kind, bytes)
        if (isRepeated) this.#deliver(id, toId, message.kind, bytes.slice())
      },
      onMessage: () => undefined,
    }
    this.#members.set(id, transport)
    return transport
  }

  /** Shows the test what goes over another transport. */
  watch(id: number, transport: RaftTransport): RaftTransport {
    return {
      send: (toId, pieces) => {
        this.onSend(id, toId, decodeRaftMessage(Uint8Array.from(Buffer.concat(pieces))))
        transport.send(toId, pieces)
      },
      get onMessage() {
        return transport.onMessage
      },
      set onMessage(onMessage) {
        transport.onMessage = onMessage
      },
    }
  }

  leave(id: number): void {
    this.#members.delete(id)
  }

  cut(fromId: number, toId: number): void {
    this.cuts.add(`${fromId}>${toId}`)
  }

  isolate(id: number, others: readonly number[]): void {
    for (const other of others) {
      if (other === id) continue
      this.cut(id, other)
      this.cut(other, id)
    }
  }

  heal(): void {
    this.cuts.clear()
  }

  #deliver(fromId: number, toId: number, kind: string, bytes: Uint8Array): void {
    // A late one may come after elections, restarts and wipes.
    const isLate = this.#random.chance(this.faults.lateRate)
    const delayMs = isLate ? this.#random.between(10, 2000) : this.#random.between(0.05, 2)
    this.#simulation.schedule(delayMs, `${fromId}>${toId} ${kind}`, () => {
      if (!this.cuts.has(`${fromId}>${toId}`)) this.#members.get(toId)?.onMessage(fromId, bytes)
    })
  }
}
