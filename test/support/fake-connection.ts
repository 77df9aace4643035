/** A connection whose other end is the test: what was sent is kept, messages and drains are played by hand. */
import type { Connection, Subprotocol } from '../../src/env/index.ts'

export class FakeConnection implements Connection {
  readonly id = 1
  readonly transport = 'in-process'
  readonly subprotocol: Subprotocol = 'kafka'
  isLoopback = true
  readonly remote = 'test'
  bufferedBytes = 0
  isPaused = false
  isClosed = false
  readonly sent: Uint8Array[][] = []
  onMessage: (message: Uint8Array) => void = () => undefined
  onDrain: () => void = () => undefined
  onClose: (reason: string) => void = () => undefined

  send(message: readonly Uint8Array[]): void {
    if (!this.isClosed) this.sent.push([...message])
  }

  pause(): void {
    this.isPaused = true
  }

  resume(): void {
    this.isPaused = false
  }

  setBounds(): void {}

  close(reason = 'closed'): void {
    if (this.isClosed) return
    this.isClosed = true
    queueMicrotask(() => this.onClose(reason))
  }

  /** The first byte of each message sent, which the tests use as its name. */
  get sentNames(): number[] {
    return this.sent.map((message) => message[0]![0]!)
  }
}
